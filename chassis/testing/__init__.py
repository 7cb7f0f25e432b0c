"""Given / when / then for deciders, and folds for projections."""
