"""What the lines of an nginx log have told so far, so that the trace can say what they have not."""

from __future__ import annotations

from dataclasses import dataclass

from breakerlab.trace.formats.nginx_attempts import NOTHING, Moment, Served, was_passed_on


@dataclass(slots=True)
class Told:
    """What any of the lines has told."""

    parts_of_seconds: bool = False
    no_zone: bool = False
    attempts: bool = False
    answers: bool = False
    """Which of its attempts a server answered."""
    several_without_times: bool = False

    def add_line(self, line: Served, moment: Moment) -> None:
        """Note what one line tells."""
        self.parts_of_seconds |= moment.has_parts
        self.no_zone |= not moment.has_zone
        if was_passed_on(line):
            self.attempts = True
            self.answers |= bool(line.connect_times or line.header_times)
            several = "," in line.statuses or "," in line.addresses
            self.several_without_times |= several and line.response_times in NOTHING

    def add(self, more: Told) -> None:
        """Note what other lines have told."""
        self.parts_of_seconds |= more.parts_of_seconds
        self.no_zone |= more.no_zone
        self.attempts |= more.attempts
        self.answers |= more.answers
        self.several_without_times |= more.several_without_times
