"""Forbids functions by their names.

A policy imports nothing: no clock, no file, no log. It is asked in a new instance every time, so the same request gets
the same verdict.
"""

import json

from componentize_py_types import Err
from wit_world.exports import judge

# What the settings have to look like, as JSON Schema: `ringfence policy list` shows it.
SETTINGS = {
    "type": "object",
    "properties": {"functions": {"type": "array", "items": {"type": "string"}}},
    "required": ["functions"],
    "additionalProperties": False,
}


class Judge:
    def describe(self):
        return judge.Description(
            name="{{name}}",
            version="0.1.0",
            summary="Forbids functions by their names.",
            points=[judge.DecisionPoint.CALL],
            settings_schema=json.dumps(SETTINGS),
        )

    def validate_settings(self, settings):
        if functions(settings) is None:
            text = "a list of names of functions, and nothing else"
            raise Err([judge.SettingsProblem(pointer="/functions", text=text)])

    def evaluate(self, settings, request):
        # At other points than the one it asked for, a policy is not asked.
        if not isinstance(request.subject, judge.Subject_Call):
            return judge.Verdict_Abstain()
        names = functions(settings)
        if names is None:
            # When in doubt, no.
            return forbid("settings-not-valid", "the settings are not those of this policy")
        if request.subject.value.function in names:
            return forbid("function-forbidden", "the function is on the list")
        return judge.Verdict_Abstain()


def forbid(code, text):
    return judge.Verdict_Forbid([judge.Reason(code=code, text=text)])


def functions(settings):
    settings = json.loads(settings)
    names = settings.get("functions") if isinstance(settings, dict) and len(settings) == 1 else None
    if isinstance(names, list) and all(isinstance(name, str) for name in names):
        return names
    return None
