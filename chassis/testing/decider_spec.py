"""Given / when / then for a decider: a rule reads as one sentence, and so does its test."""

from collections.abc import Sequence
from dataclasses import dataclass

from chassis.definitions.decider import Command, Decider, Event, Invalid, Rejection


@dataclass(frozen=True, slots=True)
class DeciderSpec[C: Command, S, E: Event]:
    """An example: after this history, this command."""

    decider: Decider[C, S, E]
    history: Sequence[E] = ()
    command: C | None = None

    def given(self, *history: E) -> "DeciderSpec[C, S, E]":
        """Start from these events."""
        return DeciderSpec(self.decider, history)

    def when(self, command: C) -> "DeciderSpec[C, S, E]":
        """Ask for this."""
        return DeciderSpec(self.decider, self.history, command)

    def then(self, *expected: E) -> None:
        """Expect exactly these events, and that they fold."""
        decided = self.decided()
        assert list(decided) == list(expected)
        self.decider.fold([*self.history, *decided])

    def then_nothing(self) -> None:
        """Expect no event and no refusal."""
        self.then()

    def then_refused(self, rule: type[Rejection], field: str | None = None) -> Rejection:
        """Expect a refusal by this rule (naming `field`) and return it."""
        try:
            decided = self.decided()
        except rule as raised:
            refusal = raised
        else:
            raise AssertionError(f"expected {rule.__name__}, got {decided!r}")
        if field is not None:
            assert isinstance(refusal, Invalid)
            assert refusal.field == field
        return refusal

    def decided(self) -> Sequence[E]:
        """Return the events, or raise the refusal."""
        assert self.command is not None, "call .when(command) first"
        return self.decider.decide(self.command, self.decider.fold(self.history))
