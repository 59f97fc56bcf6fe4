//! The code of the pages for firmware developers: it compiles against the platforms' APIs as stub headers have them, and the
//! doctor's causes that the pages name exist.

use std::{fs, path::Path, process::Command};

use device_sim::doctor::cause::Cause;
use integration::files;

/// The first block of this language in a page.
fn block(page: &str, language: &str, beginning: &str) -> String {
    let text = fs::read_to_string(files::root().join("docs").join(page)).unwrap();
    let mark = format!("```{language}\n");
    let mut blocks = text.split(&mark).skip(1).map(|rest| rest.split("\n```").next().unwrap());
    let found = blocks.find(|block| block.contains(beginning));
    found.unwrap_or_else(|| panic!("{page} has no block with {beginning}")).to_owned()
}

/// Writes the stub header under the name of each header that the code includes and no compiler has.
fn write_headers(folder: &Path, code: &str, stub: &str) {
    fs::copy(files::root().join("tests/fixtures/platforms").join(stub), folder.join(stub)).unwrap();
    let included = code
        .lines()
        .filter_map(|line| line.strip_prefix("#include "))
        .map(|name| name.split("//").next().unwrap().trim().trim_matches(['"', '<', '>']).to_owned());
    for name in
        included.filter(|name| !["inttypes.h", "stdio.h", "time.h", "secrets.h"].contains(&name.as_str()))
    {
        let path = folder.join(&name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, format!("#include \"{stub}\"\n")).unwrap();
    }
}

fn compiles(mut compiler: Command) {
    let finished = compiler.output().unwrap();
    assert!(finished.status.success(), "{}", String::from_utf8_lossy(&finished.stderr));
}

#[test]
fn code_for_esp_idf_compiles() {
    let folder = tempfile::tempdir().unwrap();
    let code = block("esp-idf.md", "c", "app_main");
    write_headers(folder.path(), &code, "esp-idf.h");
    fs::write(folder.path().join("secrets.h"), block("esp-idf.md", "c", "DEVICE_PASSWORD \"")).unwrap();
    fs::write(folder.path().join("reading.c"), code).unwrap();
    let mut compiler = Command::new("cc");
    compiler.args(["-std=gnu17", "-Wall", "-Wextra", "-Werror", "-fsyntax-only", "-I", ".", "reading.c"]);
    compiles({
        compiler.current_dir(folder.path());
        compiler
    });
}

#[test]
fn code_for_arduino_compiles() {
    let folder = tempfile::tempdir().unwrap();
    let code = block("arduino.md", "cpp", "void loop()");
    write_headers(folder.path(), &code, "arduino.h");
    let secrets = "#define WIFI_SSID \"s\"\n#define WIFI_PASSWORD \"p\"\n#define DEVICE_PASSWORD \"d\"\n\
                   static const char CA_PEM[] = \"-----BEGIN CERTIFICATE-----\";\n";
    fs::write(folder.path().join("secrets.h"), secrets).unwrap();
    fs::write(folder.path().join("sketch.cpp"), code).unwrap();
    let mut compiler = Command::new("c++");
    compiler.args(["-std=c++17", "-Wall", "-Wextra", "-Werror", "-fsyntax-only", "-I", ".", "sketch.cpp"]);
    compiles({
        compiler.current_dir(folder.path());
        compiler
    });
}

/// `MicroPython`'s modules are played by a few lines; what the page does with them is what runs.
#[test]
fn code_for_micropython_connects_and_publishes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let write = |name: &str, text: &str| fs::write(path.join(name), text).unwrap();
    write("main.py", &block("micropython.md", "python", "MQTTClient"));
    write("machine.py", "");
    write("secrets.py", "WIFI_SSID, WIFI_PASSWORD, DEVICE_PASSWORD = 's', 'p', 'd'\n");
    write(
        "network.py",
        "STA_IF = 0\nclass WLAN:\n def __init__(self, which): pass\n def active(self, on): pass\n \
         def connect(self, ssid, password): pass\n def isconnected(self): return True\n",
    );
    write("ntptime.py", "def settime(): pass\n");
    fs::create_dir(path.join("umqtt")).unwrap();
    write(
        "umqtt/simple.py",
        "class MQTTClient:\n def __init__(self, client_id, server, port=0, user=None, password=None, keepalive=0, \
         ssl=None):\n  self.user = user\n def connect(self): assert '?x-amz-customauthorizer-name=' in self.user\n \
         def publish(self, topic, message, retain=False, qos=0):\n  print(topic, message.decode(), qos)\n  \
         raise SystemExit(0)\n",
    );
    fs::copy(files::root().join("device-sim/src/endpoint/amazon_roots.pem"), path.join("ca.pem")).unwrap();
    let finished = Command::new("python3").arg("main.py").current_dir(path).output().unwrap();
    assert!(finished.status.success(), "{}", String::from_utf8_lossy(&finished.stderr));
    let printed = String::from_utf8(finished.stdout).unwrap();
    assert_eq!(printed, "sensor/sht20-1/temperature {\"value\":21.5,\"unit\":\"Cel\"} 1\n");
}

#[test]
fn the_doctors_page_has_its_causes_and_other_pages_name_no_other() {
    let docs = files::root().join("docs");
    let page = fs::read_to_string(docs.join("doctor.md")).unwrap();
    let row = |cause: &Cause| {
        let (sentence, cure) = (cause.sentence().replace('|', "\\|"), cause.cure().replace('|', "\\|"));
        format!("| {} | `{}` | {sentence} | {cure} |", cause.exit_code(), cause.name())
    };
    let wanted = Cause::ALL.iter().map(row).collect::<Vec<_>>();
    let rows = page.lines().filter(|line| {
        line.strip_prefix("| ")
            .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()) && rest.contains("| `"))
    });
    let rows = rows.collect::<Vec<_>>();
    if std::env::var_os("UPDATE_PAGES").is_some() {
        let (before, rest) = page.split_once("<!-- causes -->\n").unwrap();
        let (_, after) = rest.split_once("<!-- end causes -->").unwrap();
        let table = format!("| code | name | cause | cure |\n|---|---|---|---|\n{}\n", wanted.join("\n"));
        fs::write(
            docs.join("doctor.md"),
            format!("{before}<!-- causes -->\n\n{table}\n<!-- end causes -->{after}"),
        )
        .unwrap();
        return;
    }
    assert_eq!(rows, wanted, "run this test with UPDATE_PAGES=1");
    for name in ["esp-idf.md", "arduino.md", "micropython.md"] {
        let text = fs::read_to_string(docs.join(name)).unwrap();
        let tables = text
            .lines()
            .filter(|line| line.starts_with("| `") || line.starts_with("| -") || line.starts_with("| 4"));
        for line in tables.filter(|line| line.split('|').count() == 5) {
            let second = line.split('|').nth(2).unwrap();
            let causes = second
                .split('`')
                .skip(1)
                .step_by(2)
                .filter(|it| it.chars().all(|c| c.is_ascii_lowercase() || c == '_'));
            for cause in causes {
                assert!(Cause::ALL.iter().any(|known| known.name() == cause), "{name} names `{cause}`");
            }
        }
    }
}
