/**
 * The function of {@link DefaultAuthorizer}, as CloudFormation calls it. Its JavaScript is part of the template, so it
 * may use only Node and the AWS SDK of Lambda's runtime, and must stay below 4,096 characters.
 */

/** A request of CloudFormation (user guide, "Custom resource reference"). */
export interface ResourceRequest {
  readonly RequestType: 'Create' | 'Update' | 'Delete';
  readonly ResponseURL: string;
  readonly StackId: string;
  readonly RequestId: string;
  readonly LogicalResourceId: string;
  readonly ResourceProperties: { readonly AuthorizerName: string };
}

/** The calls of AWS IoT that this needs. */
export interface Iot {
  describeDefaultAuthorizer(input: object): Promise<{ authorizerDescription?: { authorizerName?: string } }>;
  setDefaultAuthorizer(input: { authorizerName: string }): Promise<unknown>;
  clearDefaultAuthorizer(input: object): Promise<unknown>;
}

/** Sets or clears the default authorizer. Another one is never replaced and never cleared. */
export async function apply(iot: Iot, type: ResourceRequest['RequestType'], name: string): Promise<void> {
  const current = await currentDefault(iot);
  if (type === 'Delete') {
    if (current === name) {
      await iot.clearDefaultAuthorizer({});
    }
  } else if (current === undefined) {
    await iot.setDefaultAuthorizer({ authorizerName: name });
  } else if (current !== name) {
    throw new Error(
      `the authorizer ${current} is the default of this account and region: run \`aws iot clear-default-authorizer\`, or set authorizer.default to false`,
    );
  }
}

async function currentDefault(iot: Iot): Promise<string | undefined> {
  try {
    const answer = await iot.describeDefaultAuthorizer({});
    return answer.authorizerDescription?.authorizerName;
  } catch (error) {
    if (error instanceof Error && error.name === 'ResourceNotFoundException') {
      return undefined;
    }
    throw error;
  }
}

/** Answers one request of CloudFormation. */
export async function handler(request: ResourceRequest): Promise<void> {
  const { RequestType, ResponseURL, StackId, RequestId, LogicalResourceId, ResourceProperties } = request;
  let failure: string | undefined;
  try {
    const { IoT } = require('@aws-sdk/client-iot') as { IoT: new (config: object) => Iot };
    await apply(new IoT({}), RequestType, ResourceProperties.AuthorizerName);
  } catch (error) {
    failure = error instanceof Error ? error.message : String(error);
  }
  await fetch(ResponseURL, {
    method: 'PUT',
    body: JSON.stringify({
      Status: failure === undefined ? 'SUCCESS' : 'FAILED',
      Reason: failure,
      PhysicalResourceId: 'default-authorizer',
      StackId,
      RequestId,
      LogicalResourceId,
    }),
  });
}
