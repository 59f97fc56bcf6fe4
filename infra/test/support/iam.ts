/** Evaluates IAM policies, as far as the policies of this deployment need it (IAM user guide, "Policy evaluation logic"). */

type OneOrMore = string | readonly string[];

export interface Policy {
  readonly Version: string;
  readonly Statement: readonly PolicyStatement[];
}

export interface PolicyStatement {
  readonly Sid?: string;
  readonly Effect: string;
  readonly Action: OneOrMore;
  readonly Resource: OneOrMore;
  readonly Condition?: Readonly<Record<string, Readonly<Record<string, OneOrMore>>>>;
}

/** A call. A condition key that is absent from `context` has no value. */
export interface Call {
  readonly action: string;
  readonly resource: string;
  readonly context?: Readonly<Record<string, OneOrMore>>;
}

const ELEMENTS = ['Sid', 'Effect', 'Action', 'Resource', 'Condition'];

/** Whether a policy allows a call. What this can't evaluate is an error, never a permission or a refusal. */
export function allows({ Statement }: Policy, call: Call): boolean {
  const effects = Statement.filter((statement) => applies(statement, call)).map(({ Effect }) => Effect);
  return effects.includes('Allow') && !effects.includes('Deny');
}

function applies(statement: PolicyStatement, { action, resource, context = {} }: Call): boolean {
  const unknown = Object.keys(statement).filter((element) => !ELEMENTS.includes(element));
  if (unknown.length > 0 || !['Allow', 'Deny'].includes(statement.Effect)) {
    throw new Error(
      `${statement.Sid}: ${unknown.join()} or the effect ${statement.Effect} can't be evaluated`,
    );
  }
  // All conditions are evaluated, so that one that can't be is found.
  const conditions = Object.entries(statement.Condition ?? {}).flatMap(([operator, keys]) =>
    Object.entries(keys).map(([key, wanted]) => holds(operator, list(context[key]), list(wanted))),
  );
  return (
    list(statement.Action).some((it) => matches(it.toLowerCase(), action.toLowerCase())) &&
    list(statement.Resource).some((it) => matches(it, resource)) &&
    conditions.every((it) => it)
  );
}

/** Whether a condition holds for a key's values. Without a value only `Null` and `ForAllValues:` hold. */
function holds(operator: string, values: readonly string[], wanted: readonly string[]): boolean {
  const [set, single] = operator.includes(':') ? operator.split(':') : ['ForAnyValue', operator];
  const is = (value: string): boolean => wanted.some((it) => compare(`${single}`, it, value));
  if (operator === 'Null') {
    return wanted.every((it) => (it === 'true') === (values.length === 0));
  }
  switch (set) {
    case 'ForAllValues':
      return values.every(is);
    case 'ForAnyValue':
      return values.some(is);
    default:
      throw new Error(`the operator ${operator} can't be evaluated`);
  }
}

function compare(operator: string, wanted: string, value: string): boolean {
  switch (operator) {
    case 'StringEquals':
      return wanted === value;
    case 'StringLike':
    case 'ArnLike':
      return matches(wanted, value);
    default:
      throw new Error(`the operator ${operator} can't be evaluated`);
  }
}

/** Whether a pattern with `*` and `?` matches the whole text. */
function matches(pattern: string, text: string): boolean {
  const escaped = pattern.replaceAll(/[.+^${}()|[\]\\]/g, '\\$&');
  return new RegExp(`^${escaped.replaceAll('*', '.*').replaceAll('?', '.')}$`, 's').test(text);
}

function list(values: OneOrMore | undefined): readonly string[] {
  return values === undefined ? [] : [values].flat();
}
