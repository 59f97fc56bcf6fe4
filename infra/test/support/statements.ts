import { Template } from 'aws-cdk-lib/assertions';

export interface Statement {
  readonly Effect: string;
  readonly Action: string | string[];
  readonly Resource: unknown;
  readonly Condition?: unknown;
}

interface Policy {
  readonly Properties: {
    readonly PolicyDocument: { readonly Statement: readonly Statement[] };
    readonly Roles: readonly { readonly Ref: string }[];
  };
}

/** What the role whose logical id begins with `role` may do. */
export function statements(template: Template, role: string): Statement[] {
  const policies = Object.values(template.findResources('AWS::IAM::Policy')) as Policy[];
  const own = policies.filter(({ Properties }) => Properties.Roles.some(({ Ref }) => Ref.startsWith(role)));
  return own.flatMap(({ Properties }) => Properties.PolicyDocument.Statement);
}

export function actions({ Action }: Statement): string[] {
  return [Action].flat();
}
