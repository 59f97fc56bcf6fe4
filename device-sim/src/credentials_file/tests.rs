//! Reading, writing, and every complaint.

use super::*;

fn a_row(client_id: &str) -> Row {
    Row {
        device: format!("device of {client_id}"),
        client_id: client_id.to_owned(),
        user_name: "name&key".to_owned(),
        password: Password::from("hunter2, \"quoted\""),
    }
}

fn complaint(content: &[u8]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("credentials.csv");
    fs::write(&path, content).unwrap();
    let message = read(&path, None).err().unwrap().to_string();
    message.replace(&path.display().to_string(), "FILE")
}

#[test]
fn appended_rows_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("credentials.csv");
    let rows = ["sht20", "id|securemode=2,signmethod=hmacsha256|", "c"].map(a_row);
    let [first, others @ ..] = &rows;
    append(&path, std::slice::from_ref(first)).unwrap();
    append(&path, others).unwrap();
    assert!(read(&path, None).unwrap() == rows);
    assert!(read(&path, Some(2)).unwrap() == rows[..2]);
    assert!(fs::read_to_string(&path).unwrap().starts_with("device,client_id,user_name,password\ndevice of"));
}

#[test]
fn rows_are_appended_after_a_last_line_without_an_end() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("credentials.csv");
    fs::write(&path, "device,client_id,user_name,password\r\na,b,c,d").unwrap();
    append(&path, &[a_row("e")]).unwrap();
    let ids: Vec<String> = read(&path, None).unwrap().into_iter().map(|row| row.client_id).collect();
    assert_eq!(ids, ["b", "e"]);
}

#[test]
fn a_file_with_another_header_is_unchanged() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notes.txt");
    fs::write(&path, "dear diary\n").unwrap();
    let message = append(&path, &[a_row("a")]).unwrap_err().to_string();
    assert!(message.ends_with("the header must be `device,client_id,user_name,password`"), "{message}");
    assert_eq!(fs::read_to_string(&path).unwrap(), "dear diary\n");
}

#[test]
fn a_device_and_a_client_id_have_one_row() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("credentials.csv");
    let put = |row: &Row| Replacement::of(&path, row).and_then(Replacement::commit).unwrap();
    let again = Row { password: Password::from("another"), ..a_row("a") };
    let moved = Row { client_id: "c".to_owned(), ..a_row("b") };
    let taken_over = Row { device: "d".to_owned(), ..a_row("c") };
    let cases: [(Row, &[&Row]); 5] = [
        (a_row("a"), &[&a_row("a")]),
        (a_row("b"), &[&a_row("a"), &a_row("b")]),
        (again.clone(), &[&a_row("b"), &again]),
        (moved.clone(), &[&again, &moved]),
        (taken_over.clone(), &[&again, &taken_over]),
    ];
    for (row, left) in cases {
        put(&row);
        assert!(read(&path, None).unwrap().iter().eq(left.iter().copied()), "{}", row.client_id);
    }
    // Two rows of a device, which `sim` refuses, become one.
    append(&path, &[a_row("a"), a_row("a")]).unwrap();
    put(&a_row("a"));
    assert_eq!(read(&path, None).unwrap().len(), 2);
}

#[test]
fn a_replacement_that_is_not_committed_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("credentials.csv");
    append(&path, &[a_row("a")]).unwrap();
    drop(Replacement::of(&path, &a_row("b")).ok().unwrap());
    assert!(read(&path, None).unwrap() == [a_row("a")]);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    fs::write(&path, "dear diary\n").unwrap();
    let message = Replacement::of(&path, &a_row("b")).err().unwrap().to_string();
    assert!(message.ends_with("the header must be `device,client_id,user_name,password`"), "{message}");
}

#[test]
fn a_missing_folder_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("new").join("credentials.csv");
    let message = format!(
        "there is no folder `{}` for the credentials file: make it first",
        path.parent().unwrap().display()
    );
    assert_eq!(append(&path, &[a_row("a")]).unwrap_err().to_string(), message);
    assert_eq!(Replacement::of(&path, &a_row("a")).err().unwrap().to_string(), message);
    assert!(!path.parent().unwrap().exists());
}

#[cfg(unix)]
#[test]
fn only_the_owner_can_read_it() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("credentials.csv");
    fs::write(&path, "").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    append(&path, &[a_row("a")]).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    Replacement::of(&path, &a_row("b")).and_then(Replacement::commit).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn errors_name_the_line_and_repeat_no_secret() {
    let header = "device,client_id,user_name,password\n";
    let cases = [
        (
            String::new(),
            "line 1, column 1 of the credentials file `FILE`: the header must be `device,client_id,user_name,password`",
        ),
        (
            "device,client,user_name,hunter2\n".to_owned(),
            "line 1, column 14 of the credentials file `FILE`: the header must be `device,client_id,user_name,password`",
        ),
        (header.to_owned(), "the credentials file `FILE` has no devices"),
        (
            format!("{header}a,b,c,hunter2\na,c,hunter2\n"),
            "line 3, column 12 of the credentials file `FILE`: a row has 4 fields, this one has 3",
        ),
        (
            format!("{header}a,b,c,hunter2,5\n"),
            "line 2, column 15 of the credentials file `FILE`: a row has 4 fields, this one has 5",
        ),
        (format!("{header}a,b,c,\n"), "line 2, column 7 of the credentials file `FILE`: `password` is empty"),
        (
            format!("{header},b,c,hunter2\n"),
            "line 2, column 1 of the credentials file `FILE`: `device` is empty",
        ),
        (
            format!("{header}\na,b/c,c,hunter2\n"),
            "line 3, column 4 of the credentials file `FILE`: the client id contains '/', use letters, digits and `_.:@=,|&~-` only",
        ),
        (
            format!("{header}a,b,c,hunter2\nd,e,f,hunter2\ng,b,h,hunter2\n"),
            "line 4, column 3 of the credentials file `FILE`: the client id `b` is on line 2 already",
        ),
    ];
    for (content, message) in cases {
        let said = complaint(content.as_bytes());
        assert_eq!(said, message, "{content:?}");
        assert!(!said.contains("hunter2"));
    }
    let quoted = complaint(format!("{header}\"ä, \"\"x\"\"\",\"b/c\",c,hunter2\n").as_bytes());
    assert!(quoted.starts_with("line 2, column 14 of"), "{quoted}");
    let several = complaint(format!("{header}\"a\nb\",b/c,c,hunter2\n").as_bytes());
    assert!(several.starts_with("line 3, column 5 of"), "the column is in the field's own line: {several}");
    let crlf = complaint(b"device,client_id,user_name,password\r\na,b,c,d\r\na,b/c,c,hunter2\r\n");
    assert!(crlf.starts_with("line 3, column 4 of"), "{crlf}");
    let not_utf8 = [header.as_bytes(), b"a,b,c,hunter2\xff\n"].concat();
    assert_eq!(complaint(&not_utf8), "line 2, column 14 of the credentials file `FILE`: not UTF-8");
}

#[test]
fn the_error_for_a_missing_file_names_the_command_that_makes_it() {
    let message = read(Path::new("/nowhere/c.csv"), None).err().unwrap().to_string();
    assert_eq!(
        message,
        "there is no credentials file `/nowhere/c.csv`: `latchkey fleet add NAME --grant sht20 --credentials FILE` writes one, or pass another with `--credentials`"
    );
}
