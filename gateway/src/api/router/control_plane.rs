//! The operations of AWS IoT's control plane, in the order of their names.
//!
//! Source: the API model of AWS IoT, version 2015-05-28, as of botocore 1.44.8.

use super::{Operation, at_once};
use crate::api::control::{
    authorization, authorizers, billing_groups, certificates, connectivity, domain_configurations, endpoint,
    policies, principals, tags, test_invocation, thing_groups, thing_types, things,
};

/// All of them; most are not served.
pub(super) const OPERATIONS: &[Operation] = &[
    Operation::absent("AcceptCertificateTransfer", "PATCH", "/accept-certificate-transfer/{certificateId}"),
    Operation::served(
        "AddThingToBillingGroup",
        "PUT",
        "/billing-groups/addThingToBillingGroup",
        |api, input| Box::pin(billing_groups::add(api, input)),
    ),
    Operation::served("AddThingToThingGroup", "PUT", "/thing-groups/addThingToThingGroup", |api, input| {
        Box::pin(thing_groups::add(api, input))
    }),
    Operation::absent(
        "AssociateSbomWithPackageVersion",
        "PUT",
        "/packages/{packageName}/versions/{versionName}/sbom",
    ),
    Operation::absent("AssociateTargetsWithJob", "POST", "/jobs/{jobId}/targets"),
    Operation::served("AttachPolicy", "PUT", "/target-policies/{policyName}", |api, input| {
        Box::pin(policies::attach(api, input))
    }),
    Operation::served("AttachPrincipalPolicy", "PUT", "/principal-policies/{policyName}", |api, input| {
        Box::pin(policies::attach_to_principal(api, input))
    }),
    Operation::absent("AttachSecurityProfile", "PUT", "/security-profiles/{securityProfileName}/targets"),
    Operation::served("AttachThingPrincipal", "PUT", "/things/{thingName}/principals", |api, input| {
        Box::pin(principals::attach(api, input))
    }),
    Operation::absent(
        "CancelAuditMitigationActionsTask",
        "PUT",
        "/audit/mitigationactions/tasks/{taskId}/cancel",
    ),
    Operation::absent("CancelAuditTask", "PUT", "/audit/tasks/{taskId}/cancel"),
    Operation::absent("CancelCertificateTransfer", "PATCH", "/cancel-certificate-transfer/{certificateId}"),
    Operation::absent(
        "CancelDetectMitigationActionsTask",
        "PUT",
        "/detect/mitigationactions/tasks/{taskId}/cancel",
    ),
    Operation::absent("CancelJob", "PUT", "/jobs/{jobId}/cancel"),
    Operation::absent("CancelJobExecution", "PUT", "/things/{thingName}/jobs/{jobId}/cancel"),
    Operation::served("ClearDefaultAuthorizer", "DELETE", "/default-authorizer", |api, input| {
        Box::pin(authorizers::clear_default(api, input))
    }),
    Operation::absent("ConfirmTopicRuleDestination", "GET", "/confirmdestination/{confirmationToken+}"),
    Operation::absent("CreateAuditSuppression", "POST", "/audit/suppressions/create"),
    Operation::served("CreateAuthorizer", "POST", "/authorizer/{authorizerName}", |api, input| {
        Box::pin(authorizers::create(api, input))
    }),
    Operation::served("CreateBillingGroup", "POST", "/billing-groups/{billingGroupName}", |api, input| {
        Box::pin(billing_groups::create(api, input))
    }),
    Operation::served("CreateCertificateFromCsr", "POST", "/certificates", |api, input| {
        Box::pin(certificates::create_from_request(api, input))
    }),
    Operation::absent(
        "CreateCertificateProvider",
        "POST",
        "/certificate-providers/{certificateProviderName}",
    ),
    Operation::absent("CreateCommand", "PUT", "/commands/{commandId}"),
    Operation::absent("CreateCustomMetric", "POST", "/custom-metric/{metricName}"),
    Operation::absent("CreateDimension", "POST", "/dimensions/{name}"),
    Operation::served(
        "CreateDomainConfiguration",
        "POST",
        "/domainConfigurations/{domainConfigurationName}",
        |api, input| Box::pin(domain_configurations::create(api, input)),
    ),
    Operation::absent("CreateDynamicThingGroup", "POST", "/dynamic-thing-groups/{thingGroupName}"),
    Operation::absent("CreateFleetMetric", "PUT", "/fleet-metric/{metricName}"),
    Operation::absent("CreateJob", "PUT", "/jobs/{jobId}"),
    Operation::absent("CreateJobTemplate", "PUT", "/job-templates/{jobTemplateId}"),
    Operation::served("CreateKeysAndCertificate", "POST", "/keys-and-certificate", |api, input| {
        Box::pin(certificates::create_keys(api, input))
    }),
    Operation::absent("CreateMitigationAction", "POST", "/mitigationactions/actions/{actionName}"),
    Operation::absent("CreateOTAUpdate", "POST", "/otaUpdates/{otaUpdateId}"),
    Operation::absent("CreatePackage", "PUT", "/packages/{packageName}"),
    Operation::absent("CreatePackageVersion", "PUT", "/packages/{packageName}/versions/{versionName}"),
    Operation::served("CreatePolicy", "POST", "/policies/{policyName}", |api, input| {
        Box::pin(policies::create(api, input))
    }),
    Operation::served("CreatePolicyVersion", "POST", "/policies/{policyName}/version", |api, input| {
        Box::pin(policies::create_version(api, input))
    }),
    Operation::absent(
        "CreateProvisioningClaim",
        "POST",
        "/provisioning-templates/{templateName}/provisioning-claim",
    ),
    Operation::absent("CreateProvisioningTemplate", "POST", "/provisioning-templates"),
    Operation::absent(
        "CreateProvisioningTemplateVersion",
        "POST",
        "/provisioning-templates/{templateName}/versions",
    ),
    Operation::absent("CreateRoleAlias", "POST", "/role-aliases/{roleAlias}"),
    Operation::absent("CreateScheduledAudit", "POST", "/audit/scheduledaudits/{scheduledAuditName}"),
    Operation::absent("CreateSecurityProfile", "POST", "/security-profiles/{securityProfileName}"),
    Operation::absent("CreateStream", "POST", "/streams/{streamId}"),
    Operation::served("CreateThing", "POST", "/things/{thingName}", |api, input| {
        Box::pin(things::create(api, input))
    }),
    Operation::served("CreateThingGroup", "POST", "/thing-groups/{thingGroupName}", |api, input| {
        Box::pin(thing_groups::create(api, input))
    }),
    Operation::served("CreateThingType", "POST", "/thing-types/{thingTypeName}", |api, input| {
        Box::pin(thing_types::create(api, input))
    }),
    Operation::absent("CreateTopicRule", "POST", "/rules/{ruleName}"),
    Operation::absent("CreateTopicRuleDestination", "POST", "/destinations"),
    Operation::absent("DeleteAccountAuditConfiguration", "DELETE", "/audit/configuration"),
    Operation::absent("DeleteAuditSuppression", "POST", "/audit/suppressions/delete"),
    Operation::served("DeleteAuthorizer", "DELETE", "/authorizer/{authorizerName}", |api, input| {
        Box::pin(authorizers::delete(api, input))
    }),
    Operation::served("DeleteBillingGroup", "DELETE", "/billing-groups/{billingGroupName}", |api, input| {
        Box::pin(billing_groups::delete(api, input))
    }),
    Operation::absent("DeleteCACertificate", "DELETE", "/cacertificate/{caCertificateId}"),
    Operation::served("DeleteCertificate", "DELETE", "/certificates/{certificateId}", |api, input| {
        Box::pin(certificates::delete(api, input))
    }),
    Operation::absent(
        "DeleteCertificateProvider",
        "DELETE",
        "/certificate-providers/{certificateProviderName}",
    ),
    Operation::absent("DeleteCommand", "DELETE", "/commands/{commandId}"),
    Operation::absent("DeleteCommandExecution", "DELETE", "/command-executions/{executionId}"),
    Operation::absent("DeleteCustomMetric", "DELETE", "/custom-metric/{metricName}"),
    Operation::absent("DeleteDimension", "DELETE", "/dimensions/{name}"),
    Operation::served(
        "DeleteDomainConfiguration",
        "DELETE",
        "/domainConfigurations/{domainConfigurationName}",
        |api, input| Box::pin(domain_configurations::delete(api, input)),
    ),
    Operation::absent("DeleteDynamicThingGroup", "DELETE", "/dynamic-thing-groups/{thingGroupName}"),
    Operation::absent("DeleteFleetMetric", "DELETE", "/fleet-metric/{metricName}"),
    Operation::absent("DeleteJob", "DELETE", "/jobs/{jobId}"),
    Operation::absent(
        "DeleteJobExecution",
        "DELETE",
        "/things/{thingName}/jobs/{jobId}/executionNumber/{executionNumber}",
    ),
    Operation::absent("DeleteJobTemplate", "DELETE", "/job-templates/{jobTemplateId}"),
    Operation::absent("DeleteMitigationAction", "DELETE", "/mitigationactions/actions/{actionName}"),
    Operation::absent("DeleteOTAUpdate", "DELETE", "/otaUpdates/{otaUpdateId}"),
    Operation::absent("DeletePackage", "DELETE", "/packages/{packageName}"),
    Operation::absent("DeletePackageVersion", "DELETE", "/packages/{packageName}/versions/{versionName}"),
    Operation::served("DeletePolicy", "DELETE", "/policies/{policyName}", |api, input| {
        Box::pin(policies::delete(api, input))
    }),
    Operation::served(
        "DeletePolicyVersion",
        "DELETE",
        "/policies/{policyName}/version/{policyVersionId}",
        |api, input| Box::pin(policies::delete_version(api, input)),
    ),
    Operation::absent("DeleteProvisioningTemplate", "DELETE", "/provisioning-templates/{templateName}"),
    Operation::absent(
        "DeleteProvisioningTemplateVersion",
        "DELETE",
        "/provisioning-templates/{templateName}/versions/{versionId}",
    ),
    Operation::absent("DeleteRegistrationCode", "DELETE", "/registrationcode"),
    Operation::absent("DeleteRoleAlias", "DELETE", "/role-aliases/{roleAlias}"),
    Operation::absent("DeleteScheduledAudit", "DELETE", "/audit/scheduledaudits/{scheduledAuditName}"),
    Operation::absent("DeleteSecurityProfile", "DELETE", "/security-profiles/{securityProfileName}"),
    Operation::absent("DeleteStream", "DELETE", "/streams/{streamId}"),
    Operation::served("DeleteThing", "DELETE", "/things/{thingName}", |api, input| {
        Box::pin(things::delete(api, input))
    }),
    Operation::served("DeleteThingGroup", "DELETE", "/thing-groups/{thingGroupName}", |api, input| {
        Box::pin(thing_groups::delete(api, input))
    }),
    Operation::served("DeleteThingType", "DELETE", "/thing-types/{thingTypeName}", |api, input| {
        Box::pin(thing_types::delete(api, input))
    }),
    Operation::absent("DeleteTopicRule", "DELETE", "/rules/{ruleName}"),
    Operation::absent("DeleteTopicRuleDestination", "DELETE", "/destinations/{arn+}"),
    Operation::absent("DeleteV2LoggingLevel", "DELETE", "/v2LoggingLevel"),
    Operation::served(
        "DeprecateThingType",
        "POST",
        "/thing-types/{thingTypeName}/deprecate",
        |api, input| Box::pin(thing_types::deprecate(api, input)),
    ),
    Operation::absent("DescribeAccountAuditConfiguration", "GET", "/audit/configuration"),
    Operation::absent("DescribeAuditFinding", "GET", "/audit/findings/{findingId}"),
    Operation::absent("DescribeAuditMitigationActionsTask", "GET", "/audit/mitigationactions/tasks/{taskId}"),
    Operation::absent("DescribeAuditSuppression", "POST", "/audit/suppressions/describe"),
    Operation::absent("DescribeAuditTask", "GET", "/audit/tasks/{taskId}"),
    Operation::served("DescribeAuthorizer", "GET", "/authorizer/{authorizerName}", |api, input| {
        at_once(authorizers::describe(api, input))
    }),
    Operation::served("DescribeBillingGroup", "GET", "/billing-groups/{billingGroupName}", |api, input| {
        at_once(billing_groups::describe(api, input))
    }),
    Operation::absent("DescribeCACertificate", "GET", "/cacertificate/{caCertificateId}"),
    Operation::served("DescribeCertificate", "GET", "/certificates/{certificateId}", |api, input| {
        at_once(certificates::describe(api, input))
    }),
    Operation::absent(
        "DescribeCertificateProvider",
        "GET",
        "/certificate-providers/{certificateProviderName}",
    ),
    Operation::absent("DescribeCustomMetric", "GET", "/custom-metric/{metricName}"),
    Operation::served("DescribeDefaultAuthorizer", "GET", "/default-authorizer", |api, input| {
        at_once(authorizers::describe_default(api, input))
    }),
    Operation::absent(
        "DescribeDetectMitigationActionsTask",
        "GET",
        "/detect/mitigationactions/tasks/{taskId}",
    ),
    Operation::absent("DescribeDimension", "GET", "/dimensions/{name}"),
    Operation::served(
        "DescribeDomainConfiguration",
        "GET",
        "/domainConfigurations/{domainConfigurationName}",
        |api, input| at_once(domain_configurations::describe(api, input)),
    ),
    Operation::absent("DescribeEncryptionConfiguration", "GET", "/encryption-configuration"),
    Operation::served("DescribeEndpoint", "GET", "/endpoint", |api, input| {
        at_once(endpoint::describe(api, input))
    }),
    Operation::absent("DescribeEventConfigurations", "GET", "/event-configurations"),
    Operation::absent("DescribeFleetMetric", "GET", "/fleet-metric/{metricName}"),
    Operation::absent("DescribeIndex", "GET", "/indices/{indexName}"),
    Operation::absent("DescribeJob", "GET", "/jobs/{jobId}"),
    Operation::absent("DescribeJobExecution", "GET", "/things/{thingName}/jobs/{jobId}"),
    Operation::absent("DescribeJobTemplate", "GET", "/job-templates/{jobTemplateId}"),
    Operation::absent("DescribeManagedJobTemplate", "GET", "/managed-job-templates/{templateName}"),
    Operation::absent("DescribeMitigationAction", "GET", "/mitigationactions/actions/{actionName}"),
    Operation::absent("DescribeProvisioningTemplate", "GET", "/provisioning-templates/{templateName}"),
    Operation::absent(
        "DescribeProvisioningTemplateVersion",
        "GET",
        "/provisioning-templates/{templateName}/versions/{versionId}",
    ),
    Operation::absent("DescribeRoleAlias", "GET", "/role-aliases/{roleAlias}"),
    Operation::absent("DescribeScheduledAudit", "GET", "/audit/scheduledaudits/{scheduledAuditName}"),
    Operation::absent("DescribeSecurityProfile", "GET", "/security-profiles/{securityProfileName}"),
    Operation::absent("DescribeStream", "GET", "/streams/{streamId}"),
    Operation::served("DescribeThing", "GET", "/things/{thingName}", |api, input| {
        at_once(things::describe(api, input))
    }),
    Operation::served("DescribeThingGroup", "GET", "/thing-groups/{thingGroupName}", |api, input| {
        at_once(thing_groups::describe(api, input))
    }),
    Operation::absent("DescribeThingRegistrationTask", "GET", "/thing-registration-tasks/{taskId}"),
    Operation::served("DescribeThingType", "GET", "/thing-types/{thingTypeName}", |api, input| {
        at_once(thing_types::describe(api, input))
    }),
    Operation::served("DetachPolicy", "POST", "/target-policies/{policyName}", |api, input| {
        Box::pin(policies::detach(api, input))
    }),
    Operation::served("DetachPrincipalPolicy", "DELETE", "/principal-policies/{policyName}", |api, input| {
        Box::pin(policies::detach_from_principal(api, input))
    }),
    Operation::absent("DetachSecurityProfile", "DELETE", "/security-profiles/{securityProfileName}/targets"),
    Operation::served("DetachThingPrincipal", "DELETE", "/things/{thingName}/principals", |api, input| {
        Box::pin(principals::detach(api, input))
    }),
    Operation::absent("DisableTopicRule", "POST", "/rules/{ruleName}/disable"),
    Operation::absent(
        "DisassociateSbomFromPackageVersion",
        "DELETE",
        "/packages/{packageName}/versions/{versionName}/sbom",
    ),
    Operation::absent("EnableTopicRule", "POST", "/rules/{ruleName}/enable"),
    Operation::absent("GetBehaviorModelTrainingSummaries", "GET", "/behavior-model-training/summaries"),
    Operation::absent("GetBucketsAggregation", "POST", "/indices/buckets"),
    Operation::absent("GetCardinality", "POST", "/indices/cardinality"),
    Operation::absent("GetCommand", "GET", "/commands/{commandId}"),
    Operation::absent("GetCommandExecution", "GET", "/command-executions/{executionId}"),
    Operation::served("GetEffectivePolicies", "POST", "/effective-policies", |api, input| {
        at_once(authorization::effective_policies(api, input))
    }),
    Operation::absent("GetIndexingConfiguration", "GET", "/indexing/config"),
    Operation::absent("GetJobDocument", "GET", "/jobs/{jobId}/job-document"),
    Operation::absent("GetLoggingOptions", "GET", "/loggingOptions"),
    Operation::absent("GetOTAUpdate", "GET", "/otaUpdates/{otaUpdateId}"),
    Operation::absent("GetPackage", "GET", "/packages/{packageName}"),
    Operation::absent("GetPackageConfiguration", "GET", "/package-configuration"),
    Operation::absent("GetPackageVersion", "GET", "/packages/{packageName}/versions/{versionName}"),
    Operation::absent("GetPercentiles", "POST", "/indices/percentiles"),
    Operation::served("GetPolicy", "GET", "/policies/{policyName}", |api, input| {
        at_once(policies::get(api, input))
    }),
    Operation::served(
        "GetPolicyVersion",
        "GET",
        "/policies/{policyName}/version/{policyVersionId}",
        |api, input| at_once(policies::get_version(api, input)),
    ),
    Operation::absent("GetRegistrationCode", "GET", "/registrationcode"),
    Operation::absent("GetStatistics", "POST", "/indices/statistics"),
    Operation::served(
        "GetThingConnectivityData",
        "POST",
        "/things/{thingName}/connectivity-data",
        |api, input| at_once(connectivity::get(api, input)),
    ),
    Operation::absent("GetTopicRule", "GET", "/rules/{ruleName}"),
    Operation::absent("GetTopicRuleDestination", "GET", "/destinations/{arn+}"),
    Operation::absent("GetV2LoggingOptions", "GET", "/v2LoggingOptions"),
    Operation::absent("ListActiveViolations", "GET", "/active-violations"),
    Operation::served("ListAttachedPolicies", "POST", "/attached-policies/{target}", |api, input| {
        at_once(policies::list_attached(api, input))
    }),
    Operation::absent("ListAuditFindings", "POST", "/audit/findings"),
    Operation::absent("ListAuditMitigationActionsExecutions", "GET", "/audit/mitigationactions/executions"),
    Operation::absent("ListAuditMitigationActionsTasks", "GET", "/audit/mitigationactions/tasks"),
    Operation::absent("ListAuditSuppressions", "POST", "/audit/suppressions/list"),
    Operation::absent("ListAuditTasks", "GET", "/audit/tasks"),
    Operation::served("ListAuthorizers", "GET", "/authorizers/", |api, input| {
        at_once(authorizers::list(api, input))
    }),
    Operation::served("ListBillingGroups", "GET", "/billing-groups", |api, input| {
        at_once(billing_groups::list(api, input))
    }),
    Operation::absent("ListCACertificates", "GET", "/cacertificates"),
    Operation::absent("ListCertificateProviders", "GET", "/certificate-providers/"),
    Operation::served("ListCertificates", "GET", "/certificates", |api, input| {
        at_once(certificates::list(api, input))
    }),
    Operation::absent("ListCertificatesByCA", "GET", "/certificates-by-ca/{caCertificateId}"),
    Operation::absent("ListCommandExecutions", "POST", "/command-executions"),
    Operation::absent("ListCommands", "GET", "/commands"),
    Operation::absent("ListCustomMetrics", "GET", "/custom-metrics"),
    Operation::absent("ListDetectMitigationActionsExecutions", "GET", "/detect/mitigationactions/executions"),
    Operation::absent("ListDetectMitigationActionsTasks", "GET", "/detect/mitigationactions/tasks"),
    Operation::absent("ListDimensions", "GET", "/dimensions"),
    Operation::served("ListDomainConfigurations", "GET", "/domainConfigurations", |api, input| {
        at_once(domain_configurations::list(api, input))
    }),
    Operation::absent("ListFleetMetrics", "GET", "/fleet-metrics"),
    Operation::absent("ListIndices", "GET", "/indices"),
    Operation::absent("ListJobExecutionsForJob", "GET", "/jobs/{jobId}/things"),
    Operation::absent("ListJobExecutionsForThing", "GET", "/things/{thingName}/jobs"),
    Operation::absent("ListJobTemplates", "GET", "/job-templates"),
    Operation::absent("ListJobs", "GET", "/jobs"),
    Operation::absent("ListManagedJobTemplates", "GET", "/managed-job-templates"),
    Operation::absent("ListMetricValues", "GET", "/metric-values"),
    Operation::absent("ListMitigationActions", "GET", "/mitigationactions/actions"),
    Operation::absent("ListOTAUpdates", "GET", "/otaUpdates"),
    Operation::absent("ListOutgoingCertificates", "GET", "/certificates-out-going"),
    Operation::absent("ListPackageVersions", "GET", "/packages/{packageName}/versions"),
    Operation::absent("ListPackages", "GET", "/packages"),
    Operation::served("ListPolicies", "GET", "/policies", |api, input| at_once(policies::list(api, input))),
    Operation::served("ListPolicyPrincipals", "GET", "/policy-principals", |api, input| {
        at_once(policies::list_principals(api, input))
    }),
    Operation::served("ListPolicyVersions", "GET", "/policies/{policyName}/version", |api, input| {
        at_once(policies::list_versions(api, input))
    }),
    Operation::served("ListPrincipalPolicies", "GET", "/principal-policies", |api, input| {
        at_once(policies::list_of_principal(api, input))
    }),
    Operation::served("ListPrincipalThings", "GET", "/principals/things", |api, input| {
        at_once(principals::list_things(api, input))
    }),
    Operation::served("ListPrincipalThingsV2", "GET", "/principals/things-v2", |api, input| {
        at_once(principals::list_things_with_type(api, input))
    }),
    Operation::absent(
        "ListProvisioningTemplateVersions",
        "GET",
        "/provisioning-templates/{templateName}/versions",
    ),
    Operation::absent("ListProvisioningTemplates", "GET", "/provisioning-templates"),
    Operation::absent("ListRelatedResourcesForAuditFinding", "GET", "/audit/relatedResources"),
    Operation::absent("ListRoleAliases", "GET", "/role-aliases"),
    Operation::absent(
        "ListSbomValidationResults",
        "GET",
        "/packages/{packageName}/versions/{versionName}/sbom-validation-results",
    ),
    Operation::absent("ListScheduledAudits", "GET", "/audit/scheduledaudits"),
    Operation::absent("ListSecurityProfiles", "GET", "/security-profiles"),
    Operation::absent("ListSecurityProfilesForTarget", "GET", "/security-profiles-for-target"),
    Operation::absent("ListStreams", "GET", "/streams"),
    Operation::served("ListTagsForResource", "GET", "/tags", |api, input| at_once(tags::list(api, input))),
    Operation::served("ListTargetsForPolicy", "POST", "/policy-targets/{policyName}", |api, input| {
        at_once(policies::list_targets(api, input))
    }),
    Operation::absent(
        "ListTargetsForSecurityProfile",
        "GET",
        "/security-profiles/{securityProfileName}/targets",
    ),
    Operation::served("ListThingGroups", "GET", "/thing-groups", |api, input| {
        at_once(thing_groups::list(api, input))
    }),
    Operation::served("ListThingGroupsForThing", "GET", "/things/{thingName}/thing-groups", |api, input| {
        at_once(thing_groups::list_for_thing(api, input))
    }),
    Operation::served("ListThingPrincipals", "GET", "/things/{thingName}/principals", |api, input| {
        at_once(principals::list_of_thing(api, input))
    }),
    Operation::served("ListThingPrincipalsV2", "GET", "/things/{thingName}/principals-v2", |api, input| {
        at_once(principals::list_of_thing_with_type(api, input))
    }),
    Operation::absent(
        "ListThingRegistrationTaskReports",
        "GET",
        "/thing-registration-tasks/{taskId}/reports",
    ),
    Operation::absent("ListThingRegistrationTasks", "GET", "/thing-registration-tasks"),
    Operation::served("ListThingTypes", "GET", "/thing-types", |api, input| {
        at_once(thing_types::list(api, input))
    }),
    Operation::served("ListThings", "GET", "/things", |api, input| at_once(things::list(api, input))),
    Operation::served(
        "ListThingsInBillingGroup",
        "GET",
        "/billing-groups/{billingGroupName}/things",
        |api, input| at_once(billing_groups::list_things(api, input)),
    ),
    Operation::served(
        "ListThingsInThingGroup",
        "GET",
        "/thing-groups/{thingGroupName}/things",
        |api, input| at_once(thing_groups::list_things(api, input)),
    ),
    Operation::absent("ListTopicRuleDestinations", "GET", "/destinations"),
    Operation::absent("ListTopicRules", "GET", "/rules"),
    Operation::absent("ListV2LoggingLevels", "GET", "/v2LoggingLevel"),
    Operation::absent("ListViolationEvents", "GET", "/violation-events"),
    Operation::absent(
        "PutVerificationStateOnViolation",
        "POST",
        "/violations/verification-state/{violationId}",
    ),
    Operation::absent("RegisterCACertificate", "POST", "/cacertificate"),
    Operation::absent("RegisterCertificate", "POST", "/certificate/register"),
    Operation::served("RegisterCertificateWithoutCA", "POST", "/certificate/register-no-ca", |api, input| {
        Box::pin(certificates::register_without_ca(api, input))
    }),
    Operation::absent("RegisterThing", "POST", "/things"),
    Operation::absent("RejectCertificateTransfer", "PATCH", "/reject-certificate-transfer/{certificateId}"),
    Operation::served(
        "RemoveThingFromBillingGroup",
        "PUT",
        "/billing-groups/removeThingFromBillingGroup",
        |api, input| Box::pin(billing_groups::remove(api, input)),
    ),
    Operation::served(
        "RemoveThingFromThingGroup",
        "PUT",
        "/thing-groups/removeThingFromThingGroup",
        |api, input| Box::pin(thing_groups::remove(api, input)),
    ),
    Operation::absent("ReplaceTopicRule", "PATCH", "/rules/{ruleName}"),
    Operation::absent("SearchIndex", "POST", "/indices/search"),
    Operation::served("SetDefaultAuthorizer", "POST", "/default-authorizer", |api, input| {
        Box::pin(authorizers::set_default(api, input))
    }),
    Operation::served(
        "SetDefaultPolicyVersion",
        "PATCH",
        "/policies/{policyName}/version/{policyVersionId}",
        |api, input| Box::pin(policies::set_default_version(api, input)),
    ),
    Operation::absent("SetLoggingOptions", "POST", "/loggingOptions"),
    Operation::absent("SetV2LoggingLevel", "POST", "/v2LoggingLevel"),
    Operation::absent("SetV2LoggingOptions", "POST", "/v2LoggingOptions"),
    Operation::absent("StartAuditMitigationActionsTask", "POST", "/audit/mitigationactions/tasks/{taskId}"),
    Operation::absent("StartDetectMitigationActionsTask", "PUT", "/detect/mitigationactions/tasks/{taskId}"),
    Operation::absent("StartOnDemandAuditTask", "POST", "/audit/tasks"),
    Operation::absent("StartThingRegistrationTask", "POST", "/thing-registration-tasks"),
    Operation::absent("StopThingRegistrationTask", "PUT", "/thing-registration-tasks/{taskId}/cancel"),
    Operation::served("TagResource", "POST", "/tags", |api, input| Box::pin(tags::tag(api, input))),
    Operation::served("TestAuthorization", "POST", "/test-authorization", |api, input| {
        at_once(authorization::test(api, input))
    }),
    Operation::served("TestInvokeAuthorizer", "POST", "/authorizer/{authorizerName}/test", |api, input| {
        Box::pin(test_invocation::invoke(api, input))
    }),
    Operation::absent("TransferCertificate", "PATCH", "/transfer-certificate/{certificateId}"),
    Operation::served("UntagResource", "POST", "/untag", |api, input| Box::pin(tags::untag(api, input))),
    Operation::absent("UpdateAccountAuditConfiguration", "PATCH", "/audit/configuration"),
    Operation::absent("UpdateAuditSuppression", "PATCH", "/audit/suppressions/update"),
    Operation::served("UpdateAuthorizer", "PUT", "/authorizer/{authorizerName}", |api, input| {
        Box::pin(authorizers::update(api, input))
    }),
    Operation::served("UpdateBillingGroup", "PATCH", "/billing-groups/{billingGroupName}", |api, input| {
        Box::pin(billing_groups::update(api, input))
    }),
    Operation::absent("UpdateCACertificate", "PUT", "/cacertificate/{caCertificateId}"),
    Operation::served("UpdateCertificate", "PUT", "/certificates/{certificateId}", |api, input| {
        Box::pin(certificates::update(api, input))
    }),
    Operation::absent("UpdateCertificateProvider", "PUT", "/certificate-providers/{certificateProviderName}"),
    Operation::absent("UpdateCommand", "PATCH", "/commands/{commandId}"),
    Operation::absent("UpdateCustomMetric", "PATCH", "/custom-metric/{metricName}"),
    Operation::absent("UpdateDimension", "PATCH", "/dimensions/{name}"),
    Operation::served(
        "UpdateDomainConfiguration",
        "PUT",
        "/domainConfigurations/{domainConfigurationName}",
        |api, input| Box::pin(domain_configurations::update(api, input)),
    ),
    Operation::absent("UpdateDynamicThingGroup", "PATCH", "/dynamic-thing-groups/{thingGroupName}"),
    Operation::absent("UpdateEncryptionConfiguration", "PATCH", "/encryption-configuration"),
    Operation::absent("UpdateEventConfigurations", "PATCH", "/event-configurations"),
    Operation::absent("UpdateFleetMetric", "PATCH", "/fleet-metric/{metricName}"),
    Operation::absent("UpdateIndexingConfiguration", "POST", "/indexing/config"),
    Operation::absent("UpdateJob", "PATCH", "/jobs/{jobId}"),
    Operation::absent("UpdateMitigationAction", "PATCH", "/mitigationactions/actions/{actionName}"),
    Operation::absent("UpdatePackage", "PATCH", "/packages/{packageName}"),
    Operation::absent("UpdatePackageConfiguration", "PATCH", "/package-configuration"),
    Operation::absent("UpdatePackageVersion", "PATCH", "/packages/{packageName}/versions/{versionName}"),
    Operation::absent("UpdateProvisioningTemplate", "PATCH", "/provisioning-templates/{templateName}"),
    Operation::absent("UpdateRoleAlias", "PUT", "/role-aliases/{roleAlias}"),
    Operation::absent("UpdateScheduledAudit", "PATCH", "/audit/scheduledaudits/{scheduledAuditName}"),
    Operation::absent("UpdateSecurityProfile", "PATCH", "/security-profiles/{securityProfileName}"),
    Operation::absent("UpdateStream", "PUT", "/streams/{streamId}"),
    Operation::served("UpdateThing", "PATCH", "/things/{thingName}", |api, input| {
        Box::pin(things::update(api, input))
    }),
    Operation::served("UpdateThingGroup", "PATCH", "/thing-groups/{thingGroupName}", |api, input| {
        Box::pin(thing_groups::update(api, input))
    }),
    Operation::served(
        "UpdateThingGroupsForThing",
        "PUT",
        "/thing-groups/updateThingGroupsForThing",
        |api, input| Box::pin(thing_groups::update_for_thing(api, input)),
    ),
    Operation::served("UpdateThingType", "PATCH", "/thing-types/{thingTypeName}", |api, input| {
        Box::pin(thing_types::update(api, input))
    }),
    Operation::absent("UpdateTopicRuleDestination", "PATCH", "/destinations"),
    Operation::absent("ValidateSecurityProfileBehaviors", "POST", "/security-profile-behaviors/validate"),
];
