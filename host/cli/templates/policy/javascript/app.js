// Forbids functions by their names.
//
// A policy imports nothing: no clock, no file, no log. It is asked in a new instance every time, so the same request
// gets the same verdict.

// What the settings have to look like, as JSON Schema: `ringfence policy list` shows it.
const SETTINGS = {
  type: 'object',
  properties: { functions: { type: 'array', items: { type: 'string' } } },
  required: ['functions'],
  additionalProperties: false,
};

export const judge = {
  describe() {
    return {
      name: '{{name}}',
      version: '0.1.0',
      summary: 'Forbids functions by their names.',
      points: ['call'],
      settingsSchema: JSON.stringify(SETTINGS),
    };
  },

  // What is thrown is the error of the result.
  validateSettings(settings) {
    if (functions(settings) === null) {
      throw [{ pointer: '/functions', text: 'a list of names of functions, and nothing else' }];
    }
  },

  evaluate(settings, request) {
    // At other points than the one it asked for, a policy is not asked.
    if (request.subject.tag !== 'call') return { tag: 'abstain' };
    const names = functions(settings);
    // When in doubt, no.
    if (names === null) return forbid('settings-not-valid', 'the settings are not those of this policy');
    if (names.includes(request.subject.val.function)) return forbid('function-forbidden', 'the function is on the list');
    return { tag: 'abstain' };
  },
};

function forbid(code, text) {
  return { tag: 'forbid', val: [{ code, text }] };
}

function functions(settings) {
  const { functions: names, ...rest } = JSON.parse(settings);
  const fits = Array.isArray(names) && names.every((name) => typeof name === 'string');
  return fits && Object.keys(rest).length === 0 ? names : null;
}
