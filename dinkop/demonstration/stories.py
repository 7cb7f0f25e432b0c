"""What the office itself recorded, told as the HTTP calls that record it.

A story is a function from the regency to calls; those about the same are made in the order told here.
"""

from collections.abc import Callable, Iterator

from dinkop.demonstration.calls import Call
from dinkop.demonstration.camat_reports import every_camat_gets_a_report
from dinkop.demonstration.meetings import one_is_mistaken_for_another, the_office_attends, the_office_verifies
from dinkop.demonstration.mentoring import story_of
from dinkop.demonstration.petitions import PETITIONS
from dinkop.demonstration.regency import Regency
from dinkop.demonstration.register import (
    a_removal_is_proposed,
    a_removal_is_refused,
    cooperatives_move,
    names_are_corrected,
    officers_look_for_the_silent,
    some_exist_on_paper_only,
)
from dinkop.demonstration.reminders import the_next_meetings_are_announced, the_silent_are_warned
from dinkop.demonstration.wagir import wagir_meets_again

type Story = Callable[[Regency], Iterator[Call]]


def others_ask_for_mentoring(regency: Regency) -> Iterator[Call]:
    """Others ask for mentoring, in every way and for every reason, and it comes to everything it can come to."""
    for petition in PETITIONS:
        yield from story_of(regency, petition)


STORIES: tuple[Story, ...] = (
    wagir_meets_again,
    one_is_mistaken_for_another,
    the_office_attends,
    the_office_verifies,
    cooperatives_move,
    names_are_corrected,
    others_ask_for_mentoring,
    some_exist_on_paper_only,
    officers_look_for_the_silent,
    a_removal_is_proposed,
    a_removal_is_refused,
    the_silent_are_warned,
    the_next_meetings_are_announced,
    every_camat_gets_a_report,
)


def commands(regency: Regency) -> Iterator[Call]:
    """Yield every call of every story."""
    for story in STORIES:
        yield from story(regency)
