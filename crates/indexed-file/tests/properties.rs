//! Files that are written, read, and damaged.

#![expect(clippy::unwrap_used, reason = "a failure here is the test's failure")]

use std::{
    collections::BTreeMap,
    fs::File,
    io::{Cursor, Read as _},
};

use indexed_file::{Damage, Digest, IndexedFileError, Part, Reader, WriteError, Writer};
use proptest::prelude::*;

type Map = BTreeMap<Vec<u8>, Vec<u8>>;

/// A file with these trees, and its digest.
fn written(trees: &[Map]) -> (Vec<u8>, Digest) {
    let mut output = Cursor::new(Vec::new());
    let mut writer = Writer::new(&mut output).unwrap();
    for map in trees {
        let mut tree = writer.tree().unwrap();
        for (key, value) in map {
            tree.push(key, value).unwrap();
        }
        tree.finish().unwrap();
    }
    let digest = writer.finish().unwrap();
    (output.into_inner(), digest)
}

/// Keys with gaps between them, and values of different lengths.
fn numbered(entries: u32) -> Map {
    let value = |number: u32| format!("value {number} ").repeat((number % 5) as usize + 1).into_bytes();
    (0..entries).map(|number| (format!("device-{:06}", number * 2).into_bytes(), value(number))).collect()
}

fn next_of(map: &Map, key: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    map.range(key.to_vec()..).next().map(|(key, value)| (key.clone(), value.clone()))
}

fn map() -> impl Strategy<Value = Map> {
    let key = prop::collection::vec(prop::sample::select(vec![0_u8, 1, 7, b'a', 255]), 0..7);
    prop::collection::btree_map(key, prop::collection::vec(any::<u8>(), 0..40), 0..400)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn a_file_answers_as_the_map_that_was_written(
        maps in prop::collection::vec(map(), 1..4),
        others in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..7), 1..50),
    ) {
        let (bytes, digest) = written(&maps);
        let reader = Reader::open(bytes, Some(digest)).unwrap();
        for (tree, map) in maps.iter().enumerate() {
            prop_assert_eq!(reader.entries(tree), map.len() as u64);
            for key in map.keys().chain(&others) {
                prop_assert_eq!(reader.get(tree, key).unwrap(), map.get(key).cloned());
                prop_assert_eq!(reader.at_or_after(tree, key).unwrap(), next_of(map, key));
            }
            let mut scanned = Map::new();
            reader.scan::<IndexedFileError>(tree, |entry| {
                let (key, value) = entry.unwrap();
                scanned.insert(key.to_vec(), value);
                Ok(())
            }).unwrap();
            prop_assert_eq!(&scanned, map);
        }
        prop_assert!(matches!(reader.get(maps.len(), b"x"), Err(IndexedFileError::NoTree(_))));
    }

    /// Whatever a byte becomes: the answer is the same, or an error.
    #[test]
    fn a_changed_byte_changes_no_answer(at in any::<prop::sample::Index>(), change in 1..=255_u8, pin in any::<bool>()) {
        let maps = [numbered(700), numbered(3)];
        let (mut bytes, digest) = written(&maps);
        let at = at.index(bytes.len());
        bytes[at] ^= change;
        let Ok(reader) = Reader::open(bytes, pin.then_some(digest)) else { return Ok(()) };
        let mut refused = 0;
        for (tree, map) in maps.iter().enumerate() {
            for number in 0..1_402 {
                let key = format!("device-{number:06}").into_bytes();
                match reader.get(tree, &key) {
                    Ok(value) => prop_assert_eq!(value, map.get(&key).cloned()),
                    Err(IndexedFileError::Damaged(Damage { offset, length, .. })) => {
                        let at = at as u64;
                        prop_assert!((offset..offset + length).contains(&at), "{at} is not in {offset}, {length}");
                        refused += 1;
                    }
                    Err(error) => return Err(TestCaseError::fail(error.to_string())),
                }
            }
        }
        prop_assert!(refused > 0, "byte {} is read by no look-up", at);
    }

    #[test]
    fn a_file_of_another_length_is_not_read(cut in any::<prop::sample::Index>(), more in 1..9_usize) {
        let (bytes, digest) = written(&[numbered(100)]);
        let shorter = bytes[..cut.index(bytes.len())].to_vec();
        let longer = [bytes, vec![0; more]].concat();
        for bytes in [shorter, longer] {
            for pinned in [None, Some(digest)] {
                let length = bytes.len();
                match Reader::open(bytes.clone(), pinned).map(|_| ()).unwrap_err() {
                    IndexedFileError::NotIndexed => prop_assert!(length < indexed_file::HEADER_BYTES),
                    IndexedFileError::Length { found, .. } => prop_assert_eq!(found, length as u64),
                    other => return Err(TestCaseError::fail(other.to_string())),
                }
            }
        }
    }
}

#[test]
fn a_damaged_value_refuses_its_own_key_alone() {
    let map = numbered(700);
    let (mut bytes, digest) = written(std::slice::from_ref(&map));
    // The values come first, in the order of their keys.
    bytes[indexed_file::HEADER_BYTES] ^= 1;
    let reader = Reader::open(bytes, Some(digest)).unwrap();
    for (key, value) in map.iter().skip(1) {
        assert_eq!(reader.get(0, key).unwrap().as_ref(), Some(value));
    }
    let error = reader.get(0, b"device-000000").unwrap_err();
    assert_eq!(error.to_string(), "the entry is damaged: bytes 512 to 520 don't have their digest");
    let mut damaged = Vec::new();
    reader
        .scan::<IndexedFileError>(0, |entry| {
            damaged.extend(entry.err().map(|(key, damage)| (key.map(<[u8]>::to_vec), damage.part)));
            Ok(())
        })
        .unwrap();
    assert_eq!(damaged, [(Some(b"device-000000".to_vec()), Part::Value)]);
}

/// Two values of the same length, each as it was written.
#[test]
fn exchanged_values_are_damaged() {
    let map = Map::from([(b"a".to_vec(), b"one".to_vec()), (b"b".to_vec(), b"two".to_vec())]);
    let (mut bytes, digest) = written(&[map]);
    let values = indexed_file::HEADER_BYTES..indexed_file::HEADER_BYTES + 6;
    assert_eq!(&bytes[values.clone()], b"onetwo");
    bytes[values].copy_from_slice(b"twoone");
    for pinned in [None, Some(digest)] {
        let reader = Reader::open(bytes.clone(), pinned).unwrap();
        for key in [b"a", b"b"] {
            assert!(matches!(reader.get(0, key), Err(IndexedFileError::Damaged(_))));
        }
        assert_eq!(reader.get(0, b"c").unwrap(), None);
    }
}

#[test]
fn a_damaged_root_is_found_when_the_file_is_opened() {
    let (mut bytes, _) = written(&[numbered(700)]);
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    let error = Reader::open(bytes, None).map(|_| ()).unwrap_err().to_string();
    assert!(error.starts_with("the index is damaged: bytes "), "{error}");
}

#[test]
fn only_the_pinned_file_is_opened() {
    let (bytes, digest) = written(&[numbered(10)]);
    let (other, found) = written(&[numbered(11)]);
    assert!(Reader::open(bytes.clone(), Some(digest)).is_ok());
    let error = Reader::open(other, Some(digest)).map(|_| ()).unwrap_err().to_string();
    assert_eq!(error, format!("its digest is {found}, and {digest} is pinned"));
    assert_eq!(digest.to_string().parse(), Ok(digest));
    for text in ["", "zz", &"a".repeat(63), &format!("{digest}0")] {
        assert!(text.parse::<Digest>().is_err(), "{text}");
    }
    assert_eq!(written(&[numbered(10)]), (bytes, digest), "the same entries make the same file");
}

#[test]
fn foreign_files_and_other_versions_are_named() {
    let opened = |bytes: Vec<u8>| Reader::open(bytes, None).map(|_| ()).unwrap_err().to_string();
    let foreign = [Vec::new(), b"{}".to_vec(), vec![0; 512], vec![0x7f; 5_000]];
    for bytes in foreign {
        assert_eq!(opened(bytes), "it is not an indexed file");
    }
    let (mut bytes, _) = written(&[numbered(10)]);
    bytes[16] = 2;
    assert_eq!(opened(bytes), "the format's version is 2, this program reads 1");
    let (mut bytes, _) = written(&[numbered(10)]);
    bytes[40] ^= 1;
    assert_eq!(opened(bytes), "the header is damaged: bytes 0 to 512 don't have their digest");
}

#[test]
fn a_writer_accepts_no_file_that_a_reader_refuses() {
    let mut writer = Writer::new(Cursor::new(Vec::new())).unwrap();
    for _ in 0..indexed_file::MAX_TREES {
        let mut tree = writer.tree().unwrap();
        tree.push(b"b", b"").unwrap();
        assert!(matches!(tree.push(b"b", b""), Err(WriteError::Order)));
        assert!(matches!(tree.push(b"a", b""), Err(WriteError::Order)));
        assert!(matches!(tree.push(&[b'c'; 256], b""), Err(WriteError::TooLong { what: "a key", .. })));
        let value = vec![0; indexed_file::MAX_VALUE_BYTES + 1];
        assert!(matches!(tree.push(b"c", &value), Err(WriteError::TooLong { what: "a value", .. })));
        tree.finish().unwrap();
    }
    assert!(matches!(writer.tree().map(|_| ()), Err(WriteError::Trees)));
    assert!(writer.finish().is_ok());
}

#[test]
fn a_file_of_the_disk_is_read_at_any_position() {
    let path = std::env::temp_dir().join(format!("indexed-file-{}", std::process::id()));
    let map = numbered(5_000);
    let file = File::options().create(true).truncate(true).read(true).write(true).open(&path).unwrap();
    let mut writer = Writer::new(&file).unwrap();
    let mut tree = writer.tree().unwrap();
    for (key, value) in &map {
        tree.push(key, value).unwrap();
    }
    tree.finish().unwrap();
    let digest = writer.finish().unwrap();
    let mut whole = Vec::new();
    File::open(&path).unwrap().read_to_end(&mut whole).unwrap();
    assert_eq!((whole, digest), written(std::slice::from_ref(&map)));
    let reader = Reader::open(File::open(&path).unwrap(), Some(digest)).unwrap();
    std::fs::remove_file(&path).unwrap();
    for (key, value) in &map {
        assert_eq!(reader.get(0, key).unwrap().as_ref(), Some(value));
    }
}
