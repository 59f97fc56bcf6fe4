//! `fleet build`, and the commands on the file that it makes.

use super::*;

impl Folder {
    /// A command on the indexed file.
    fn indexed(&self, words: &[&str]) -> anyhow::Result<String> {
        let store = format!("indexed:{}", self.file("devices.indexed").display());
        Self::run_on(&store, words, &b""[..], false)
    }

    fn build(&self) -> anyhow::Result<Value> {
        let out = self.file("devices.indexed");
        let built = self.fleet(&["build", "--out", out.to_str().unwrap(), "--json"], "")?;
        Ok(serde_json::from_str(&built)?)
    }
}

fn with_devices() -> Folder {
    let folder = Folder::new();
    for device in ["dev-1", "dev-2", "dev-3"] {
        folder.fleet(&["add", device], "").unwrap();
    }
    folder
}

#[test]
fn an_indexed_file_has_the_records_of_the_json() {
    let folder = with_devices();
    let built = folder.build().unwrap();
    assert_eq!((&built["records"], built["digest"].as_str().unwrap().len()), (&Value::from(3), 64));
    assert_eq!(folder.build().unwrap(), built, "the same records make the same file");
    let bytes = fs::metadata(folder.file("devices.indexed")).unwrap().len();
    assert_eq!(built["bytes"], bytes);
    assert!(folder.indexed(&["check"]).unwrap().contains("nothing is wrong"));
    assert_eq!(folder.indexed(&["list"]).unwrap(), folder.fleet(&["list"], "").unwrap());
    let show = ["show", "dev-2", "--json"];
    assert_eq!(folder.indexed(&show).unwrap(), folder.fleet(&show, "").unwrap());
    let none = format!("{:#}", folder.indexed(&["show", "dev-4"]).unwrap_err());
    assert!(none.contains("has no device `dev-4`"), "{none}");
    let digest = built["digest"].as_str().unwrap();
    let out = folder.file("other.indexed");
    let text = folder.fleet(&["build", "--out", out.to_str().unwrap()], "").unwrap();
    assert!(text.contains("records  3\n") && text.contains(&format!("digest   {digest}\n")), "{text}");
}

#[test]
fn nothing_is_changed_in_an_indexed_file() {
    let folder = with_devices();
    folder.build().unwrap();
    let before = fs::read(folder.file("devices.indexed")).unwrap();
    for words in
        [&["add", "dev-4"][..], &["disable", "dev-1"], &["remove", "dev-1", "--yes"], &["rotate", "dev-1"]]
    {
        let refusal = format!("{:#}", folder.indexed(words).unwrap_err());
        assert!(
            refusal.contains("is an indexed file, which is not changed: change the JSON file"),
            "{refusal}"
        );
    }
    assert_eq!(fs::read(folder.file("devices.indexed")).unwrap(), before);
}

#[test]
fn records_that_contradict_each_other_leave_the_last_file() {
    let folder = with_devices();
    let before = folder.build().unwrap();
    let text = folder.store();
    fs::write(folder.file("devices.json"), text.replace("own-topics", "none")).unwrap();
    let out = folder.file("devices.indexed");
    let refusal = folder.refusal(&["build", "--out", out.to_str().unwrap()], "");
    assert!(
        refusal.contains("the authorizer can't use these records: device `dev-1`: grant `none`"),
        "{refusal}"
    );
    fs::write(folder.file("devices.json"), &text).unwrap();
    let files =
        fs::read_dir(folder.file("")).unwrap().map(|entry| entry.unwrap().file_name()).collect::<Vec<_>>();
    assert!(!files.iter().any(|name| name.to_string_lossy().contains("tmp")), "{files:?}");
    assert!(folder.indexed(&["check"]).unwrap().contains("records    3"));
    assert_eq!(folder.build().unwrap(), before);
    let refusal = folder.refusal(&["build", "--out", "/nowhere/devices.indexed"], "");
    assert!(refusal.contains("can't write `/nowhere/devices.indexed`"), "{refusal}");
}

#[test]
fn a_check_names_what_is_damaged() {
    let folder = with_devices();
    folder.build().unwrap();
    let path = folder.file("devices.indexed");
    let whole = fs::read(&path).unwrap();
    let changed = |at: usize| {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        fs::write(&path, bytes).unwrap();
        folder.indexed(&["check", "--json"])
    };
    // The first record follows the header.
    let found = serde_json::from_str::<Value>(&changed(indexed_file::HEADER_BYTES).unwrap()).unwrap();
    let problem = found["problems"][0].as_str().unwrap();
    assert!(problem.starts_with("device `dev-1`: the entry is damaged: bytes 512 to "), "{problem}");
    assert_eq!((found["problems"].as_array().unwrap().len(), &found["records"]), (1, &Value::from(2)));
    for (at, part) in [
        (3, "it is not an indexed file"),
        (100, "the header is damaged"),
        (whole.len() - 1, "the index is damaged: bytes "),
    ] {
        let error = format!("{:#}", changed(at).unwrap_err());
        assert!(error.contains("devices.indexed` can't be used: ") && error.contains(part), "{error}");
    }
    fs::write(&path, &whole[..whole.len() - 1]).unwrap();
    let error = format!("{:#}", folder.indexed(&["check"]).unwrap_err());
    assert!(
        error.contains(&format!("it has {} bytes and was written with {}", whole.len() - 1, whole.len())),
        "{error}"
    );
}

/// Each part has its digest, and yet the index would let a name through that is another device's client id.
#[test]
fn a_check_finds_an_index_that_is_not_that_of_its_records() {
    let folder = with_devices();
    folder.fleet(&["set", "dev-1", "--client-id", "other"], "").unwrap();
    folder.build().unwrap();
    let path = folder.file("devices.indexed");
    let reader = indexed_file::Reader::open(fs::read(&path).unwrap(), None).unwrap();
    let mut writer = indexed_file::Writer::new(fs::File::create(&path).unwrap()).unwrap();
    for tree in 0..4 {
        let mut copy = writer.tree().unwrap();
        let copied = reader.scan::<anyhow::Error>(tree, |entry| {
            let (key, value) = entry.unwrap();
            if tree != device_auth::store::indexed::TAKEN {
                copy.push(key, &value)?;
            }
            Ok(())
        });
        copied.unwrap();
        copy.finish().unwrap();
    }
    writer.finish().unwrap();
    let found = folder.indexed(&["check"]).unwrap();
    assert!(found.contains("its index is not that of its records"), "{found}");
}
