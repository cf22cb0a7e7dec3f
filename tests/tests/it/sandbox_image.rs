//! The image that machines start (`ops/deploy/sandbox`): its parts fit together, and its health check names what is missing. The image itself
//! is tried by `try.sh` there, which installs it into a fresh Debian.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

use tempfile::TempDir;
use valet_workers::sandbox::fly::FlyConfig;
use valet_workers::vendor::Secret;

const IMAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../ops/deploy/sandbox");
/// Nobody listens there.
const NOBODY: u16 = 1;

fn text(name: &str) -> String {
    let path = Path::new(IMAGE).join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// What a script's line `NAME=value` says, without its comment.
fn assigned(script: &str, name: &str) -> String {
    let line = script.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
    let value = line.unwrap_or_else(|| panic!("nothing sets {name}"));
    value.split(" #").next().unwrap_or_default().trim_matches(['"', '(', ')']).to_owned()
}

/// `path` of `${NAME:-path}`.
fn without_setting(value: &str) -> &str {
    value.split_once(":-").map_or(value, |(_, fallback)| fallback.trim_end_matches('}'))
}

#[test]
fn every_program_around_the_gate_is_installed_and_started_again() {
    let install = text("install.sh");
    let packages = assigned(&install, "PACKAGES");
    let packages: Vec<&str> = packages.split_whitespace().collect();
    let supervisor = text("supervisord.conf");
    let programs: Vec<&str> = supervisor.split("\n[program:").skip(1).collect();
    assert_eq!(programs.len(), 3, "a screen, its server and its page");
    for program in programs {
        let command = program.lines().find_map(|line| line.strip_prefix("command=/usr/bin/")).expect("its command");
        let name = command.split(' ').next().expect("a program").to_lowercase();
        assert!(packages.contains(&name.as_str()), "no package brings {name}: {packages:?}");
        for said in ["autorestart=true", "user=sandbox"] {
            assert!(program.lines().any(|line| line == said), "{name} has no {said}");
        }
    }
    assert!(packages.contains(&"supervisor") && packages.contains(&"novnc"), "{packages:?}");
    assert!(install.lines().any(|line| line.contains("PACKAGES+=(firefox-esr)")));
}

#[test]
fn a_machine_is_told_of_what_its_image_has() {
    let config = FlyConfig::new(Secret::new("t"), "a".to_owned(), "i".to_owned());
    let (install, healthy, entry) = (text("install.sh"), text("healthy.sh"), text("entry.sh"));
    let programs = PathBuf::from(assigned(&install, "PROGRAMS"));
    for (path, line) in [(&config.driver, "\"$PROGRAMS/geckodriver\""), (&config.browser, "\"$PROGRAMS/browser\"")] {
        let name = path.file_name().expect("a name");
        assert_eq!(*path, programs.join(name));
        assert!(install.contains(line), "{line} is not put there");
    }
    assert_eq!(without_setting(&assigned(&healthy, "GATE_PORT")), config.gate_port.to_string());
    let screen = assigned(&entry, "SCREEN");
    assert_eq!(without_setting(&assigned(&healthy, "SCREEN")), screen);
    let number = screen.rsplit('X').next().expect("a number").to_owned();
    assert!(text("supervisord.conf").contains(&format!("Xvfb :{number} ")));
    for script in ["entry.sh", "healthy.sh"] {
        assert!(text("Dockerfile").contains(&format!("[\"/usr/local/lib/valet/{script}\"]")), "{script}");
    }
    assert!(install.contains("\"$FROM/entry.sh\" \"$FROM/healthy.sh\" /usr/local/lib/valet/"));
}

#[test]
fn the_driver_is_the_one_that_tests_drive() {
    let tools = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../ops/install.sh")).expect("a file");
    let driver = text("geckodriver.sh");
    assert_eq!(assigned(&driver, "VERSION"), assigned(&tools, "GECKODRIVER_VERSION"));
    let sum = assigned(&driver, "SHA256");
    assert!(sum.len() == 64 && sum.bytes().all(|digit| digit.is_ascii_hexdigit()), "{sum}");
}

/// A server that says this: first, or after it was asked.
fn says(words: &'static str, when_asked: bool) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            if when_asked {
                let lines = BufReader::new(&stream).lines().map_while(Result::ok);
                lines.take_while(|line| !line.is_empty()).for_each(drop);
            }
            let _ = stream.write_all(words.as_bytes());
            let _ = stream.shutdown(std::net::Shutdown::Write);
            // Until the other side closes: what is unread then would take the words with it.
            let _ = stream.read_to_end(&mut Vec::new());
        }
    });
    port
}

#[test]
fn the_health_check_names_what_is_missing() {
    let folder = TempDir::new().expect("a folder");
    let (screen, no_screen) = (folder.path().join("X99"), folder.path().join("X98"));
    let _held = UnixListener::bind(&screen).expect("a socket");
    let gate = says("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n", true);
    let view = says("RFB 003.008\n", false);
    let page = says("HTTP/1.1 200 OK\r\n\r\n<title>noVNC</title>", true);
    let no_page = says("HTTP/1.1 404 Not Found\r\n\r\n", true);
    let other = says("SSH-2.0-OpenSSH\r\n", false);
    let check = |gate: u16, screen: &Path, view: u16, web: u16, wrong: &str| {
        let mut command = Command::new(Path::new(IMAGE).join("healthy.sh"));
        command.env("VALET_GATE_PORT", gate.to_string()).env("SANDBOX_SCREEN", screen);
        command.env("SANDBOX_VIEW_PORT", view.to_string()).env("SANDBOX_WEB_PORT", web.to_string());
        let answer = command.output().expect("it runs");
        let said = String::from_utf8_lossy(&answer.stdout).trim().to_owned();
        assert_eq!((answer.status.success(), said.as_str()), (wrong.is_empty(), wrong), "{answer:?}");
    };
    check(gate, &screen, view, page, "");
    check(NOBODY, &screen, view, page, "the gate does not answer on port 1");
    check(gate, &no_screen, view, page, &format!("there is no screen at {}", no_screen.display()));
    check(gate, &screen, NOBODY, page, "the screen cannot be seen");
    check(gate, &screen, other, page, "the screen cannot be seen");
    check(gate, &screen, view, NOBODY, "nobody is shown the screen");
    check(gate, &screen, view, no_page, "nobody is shown the screen");
}
