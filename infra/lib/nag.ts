import { Validations } from 'aws-cdk-lib';
import { IConstruct } from 'constructs';

/** Tells cdk-nag why a finding is meant, each rule with its reason. */
export function acknowledge(construct: IConstruct, reasons: Readonly<Record<string, string>>): void {
  for (const [id, reason] of Object.entries(reasons)) {
    Validations.of(construct).acknowledge({ id, reason });
  }
}
