/** What other CDK apps can take. */
export { UsernamePasswordAuthorizer, type UsernamePasswordAuthorizerProps } from './authorizer';
export type { AuthorizerCode } from './code';
export { AuthorizerDomain, type AuthorizerDomainProps } from './domain';
export { RecordSecret, type RecordSecretProps } from './record-secret';
export { RecordTable, type RecordTableProps } from './record-table';
export type { RecordStore } from './store';
