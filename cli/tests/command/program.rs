//! A plain program of the standard library: knows nothing of isx. The tests compile it for wasm32-wasip2 as anybody would.

use std::collections::hash_map::RandomState;
use std::fs;
use std::hash::BuildHasher;
use std::io::{Read, Write, stdin, stdout};
use std::net::{TcpStream, ToSocketAddrs, UdpSocket};
use std::process::exit;
use std::time::{Duration, Instant, SystemTime};

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let words: Vec<&str> = arguments.iter().skip(1).map(String::as_str).collect();
    match words.as_slice() {
        ["say", said @ ..] => {
            println!("{} {said:?}", arguments[0]);
            std::env::vars().for_each(|(name, value)| println!("{name}={value}"));
        }
        ["upper"] => {
            let mut text = String::new();
            stdin().read_to_string(&mut text).expect("standard input is text");
            stdout().write_all(text.to_uppercase().as_bytes()).expect("it is written");
            eprintln!("{} bytes", text.len());
        }
        ["read", path] => match fs::read_to_string(path) {
            Ok(text) => print!("{text}"),
            Err(error) => fail(&error),
        },
        ["write", path, text] => match fs::write(path, text) {
            Ok(()) => println!("written"),
            Err(error) => fail(&error),
        },
        ["remove", path] => match fs::remove_file(path) {
            Ok(()) => println!("removed"),
            Err(error) => fail(&error),
        },
        ["list", path] => match fs::read_dir(path) {
            Ok(entries) => {
                let mut names: Vec<_> = entries.map(|entry| entry.expect("an entry").file_name()).collect();
                names.sort();
                println!("{names:?}");
            }
            Err(error) => fail(&error),
        },
        ["machine"] => {
            let begun = Instant::now();
            while begun.elapsed() < Duration::from_millis(20) {
                std::thread::yield_now();
            }
            let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970");
            assert!(since > Duration::from_secs(1_700_000_000), "the clock is wrong");
            let random = || RandomState::new().hash_one(0);
            assert_ne!(random(), random());
            println!("{}", random());
        }
        ["connect", address] => {
            let said =
                |what: &str, error: Option<std::io::Error>| println!("{what}: {}", error.map_or("done", |_| "refused"));
            said("tcp", TcpStream::connect(address).err());
            said("udp", UdpSocket::bind("127.0.0.1:0").and_then(|socket| socket.send_to(b"x", address)).err());
            said("name", "localhost:80".to_socket_addrs().err());
        }
        ["pour"] => loop {
            println!("{}", "z".repeat(1_000));
        },
        ["spin"] => {
            println!("spinning");
            loop {
                std::hint::spin_loop();
            }
        }
        ["exit", code] => exit(code.parse().expect("a number")),
        ["panic"] => panic!("it was told to panic"),
        _ => fail(&std::io::Error::other("there is no such thing to do")),
    }
}

fn fail(error: &std::io::Error) -> ! {
    eprintln!("{error}");
    exit(1)
}
