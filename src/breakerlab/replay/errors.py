"""What the simulator says when it cannot go on."""


class ScenarioError(ValueError):
    """A scenario cannot be: the message names the field, what it got, and what would be right."""


class ReplayError(RuntimeError):
    """The simulator has contradicted itself: its own counts disagree. Please report it with the scenario."""
