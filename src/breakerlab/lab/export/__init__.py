"""A tuned policy, taken home: as code, as JSON, as configuration for other libraries, with what each cannot express."""

from breakerlab.lab.export.json_text import policy_from_json
from breakerlab.lab.export.result import Export
from breakerlab.lab.export.targets import TARGETS, export

__all__ = ["TARGETS", "Export", "export", "policy_from_json"]
