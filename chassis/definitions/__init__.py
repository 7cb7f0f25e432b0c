"""Pure vocabulary of event sourcing: deciders, events, projections, reactions. No I/O."""
