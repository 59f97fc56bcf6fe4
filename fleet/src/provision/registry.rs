//! The Things of the devices.

use std::collections::{BTreeMap, HashMap};

use aws_config::SdkConfig;
use aws_sdk_iot::{
    Client, config::Builder, operation::describe_thing::DescribeThingOutput, types::AttributePayload,
};
use device_sim::Deployment;

use super::device::Device;
use crate::aws::{call_error, check_location, has_code, patient};
use crate::record_store::WriteError;

/// How many attributes a Thing without a type can have (AWS IoT Core quotas, "Thing resource limits").
const MAX_WITHOUT_TYPE: usize = 3;

/// The Things of one type in one group.
pub(super) struct Registry {
    client: Client,
    thing_type: Option<String>,
    thing_group: Option<String>,
    /// Whether nothing is made or changed.
    dry_run: bool,
}

/// What was done with a Thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ThingChange {
    /// It was made.
    Made,
    /// It existed, and got its type or missing attributes.
    Completed,
    /// It existed, and is unchanged.
    Unchanged,
}

impl Registry {
    pub(super) fn new(
        aws: &SdkConfig,
        thing_type: Option<String>,
        thing_group: Option<String>,
        dry_run: bool,
    ) -> Self {
        let config = Builder::from(aws).retry_partition(patient()).build();
        Self { client: Client::from_conf(config), thing_type, thing_group, dry_run }
    }

    /// Checks, before any Thing is made, that the type and the group exist in the deployment's account and region.
    pub(super) async fn check(&self, deployment: Option<&Deployment>) -> anyhow::Result<()> {
        let cure = "`make deploy` makes it in the stage's account and region; or name another with";
        if let Some(name) = &self.thing_type {
            match self.client.describe_thing_type().thing_type_name(name).send().await {
                Ok(found) => check_location(deployment, found.thing_type_arn())?,
                Err(error) => {
                    let missing = has_code(&error, "ResourceNotFoundException");
                    anyhow::ensure!(!missing, "there is no thing type `{name}`: {cure} `--thing-type`");
                    return Err(call_error(&error, "iot:DescribeThingType"));
                }
            }
        }
        if let Some(name) = &self.thing_group {
            match self.client.describe_thing_group().thing_group_name(name).send().await {
                Ok(found) => check_location(deployment, found.thing_group_arn())?,
                Err(error) => {
                    let missing = has_code(&error, "ResourceNotFoundException");
                    anyhow::ensure!(!missing, "there is no thing group `{name}`: {cure} `--thing-group`");
                    return Err(call_error(&error, "iot:DescribeThingGroup"));
                }
            }
        }
        Ok(())
    }

    /// Checks that a Thing can have its attributes. The file of devices is checked for Things with a type.
    pub(super) fn check_attributes(&self, device: &Device) -> anyhow::Result<()> {
        let (name, count) = (&device.name, device.thing_attributes().len());
        anyhow::ensure!(
            self.thing_type.is_some() || count <= MAX_WITHOUT_TYPE,
            "`{name}` would have {count} attributes with `grant` and `scheme`, and a Thing without a type has up to \
             {MAX_WITHOUT_TYPE}: name a type with `--thing-type`"
        );
        Ok(())
    }

    /// Makes the device's Thing, or adds what it lacks. What it has is never changed. A dry run finds out only which it is.
    pub(super) async fn ensure(&self, device: &Device) -> Result<ThingChange, WriteError> {
        let name = device.name.as_str();
        let thing = match self.client.describe_thing().thing_name(name).send().await {
            Ok(thing) => self.complete(device, thing).await?,
            Err(error) if has_code(&error, "ResourceNotFoundException") => self.make(device).await?,
            Err(error) => return Err(WriteError::of(&error, "iot:DescribeThing")),
        };
        if let Some(group) = self.thing_group.as_ref().filter(|_| !self.dry_run) {
            let added =
                self.client.add_thing_to_thing_group().thing_group_name(group).thing_name(name).send().await;
            added.map_err(|error| WriteError::of(&error, "iot:AddThingToThingGroup"))?;
        }
        Ok(thing)
    }

    async fn make(&self, device: &Device) -> Result<ThingChange, WriteError> {
        if self.dry_run {
            return Ok(ThingChange::Made);
        }
        let attributes = payload(device.thing_attributes());
        let call = self.client.create_thing().thing_name(device.name.as_str()).attribute_payload(attributes);
        match call.set_thing_type_name(self.thing_type.clone()).send().await {
            Ok(_) => Ok(ThingChange::Made),
            Err(error) if has_code(&error, "ResourceAlreadyExistsException") => Err(WriteError::Device(
                "somebody else made its Thing at the same time: run this again".to_owned(),
            )),
            Err(error) => Err(WriteError::of(&error, "iot:CreateThing")),
        }
    }

    async fn complete(&self, device: &Device, thing: DescribeThingOutput) -> Result<ThingChange, WriteError> {
        let name = device.name.as_str();
        let lacks_type = match (&self.thing_type, thing.thing_type_name()) {
            (Some(wanted), Some(found)) if wanted != found => return Err(other_type(name, found, wanted)),
            (Some(_), None) => true,
            _ => false,
        };
        let present = thing.attributes.unwrap_or_default();
        let mut missing = device.thing_attributes();
        missing.retain(|attribute, _| !present.contains_key(attribute));
        if !lacks_type && missing.is_empty() {
            return Ok(ThingChange::Unchanged);
        }
        if self.dry_run {
            return Ok(ThingChange::Completed);
        }
        let mut call = self.client.update_thing().thing_name(name);
        call = call.set_thing_type_name(self.thing_type.clone().filter(|_| lacks_type));
        if !missing.is_empty() {
            call = call.attribute_payload(payload(missing));
        }
        call.send().await.map_err(|error| WriteError::of(&error, "iot:UpdateThing"))?;
        Ok(ThingChange::Completed)
    }
}

fn payload(attributes: BTreeMap<String, String>) -> AttributePayload {
    let attributes = attributes.into_iter().collect::<HashMap<_, _>>();
    AttributePayload::builder().set_attributes(Some(attributes)).merge(true).build()
}

fn other_type(name: &str, found: &str, wanted: &str) -> WriteError {
    WriteError::Device(format!(
        "its Thing exists already and has the type `{found}`, not `{wanted}`: give the device another name, or \
         change the Thing with `aws iot update-thing --thing-name {name} --thing-type-name {wanted}` and run this again"
    ))
}
