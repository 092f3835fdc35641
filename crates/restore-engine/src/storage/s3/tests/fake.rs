//! A server that says what it is told to say: for the answers of AWS that no other server gives.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use crate::config::{S3Config, S3Credentials, Secret};

/// Answers each request with what a function makes of its head, and closes the connection.
pub(super) struct Fake {
    endpoint: String,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Fake {
    pub(super) fn start(answer: impl Fn(&str) -> String + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let heads = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&heads);
        // Ends with the process.
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let head = read_request(&mut stream);
                let answer = answer(&head);
                seen.lock().unwrap().push(head);
                // Clients may have left.
                let _ = stream.write_all(answer.as_bytes());
                let _ = stream.shutdown(Shutdown::Both);
            }
        });
        Self { endpoint, heads }
    }

    pub(super) fn config(&self) -> S3Config {
        let mut config = S3Config::new("the-bucket");
        config.endpoint = Some(self.endpoint.clone());
        config.region = Some("us-east-1".into());
        config.credentials = Some(S3Credentials::new("AKIATEST", Secret::new("hush-hush")));
        config
    }

    /// The heads of all requests, with lower-case header names.
    pub(super) fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }
}

/// The head; the body is read and forgotten.
fn read_request(stream: &mut TcpStream) -> String {
    let (mut bytes, mut byte) = (Vec::new(), [0]);
    while !bytes.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap_or(0) == 1 {
        bytes.push(byte[0]);
    }
    let head = String::from_utf8(bytes).unwrap();
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        name.eq_ignore_ascii_case("content-length")
            .then(|| value.parse().unwrap())
    });
    let mut body = vec![0; length.unwrap_or(0)];
    stream.read_exact(&mut body).unwrap();
    head
}

/// An answer with an error of S3 in it.
pub(super) fn error(status: &str, headers: &str, code: &str, message: &str) -> String {
    let body =
        format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>{message}</Message></Error>");
    format!(
        "HTTP/1.1 {status}\r\nContent-Length: {}\r\nContent-Type: application/xml\r\nConnection: close\r\n{headers}\r\n{body}",
        body.len()
    )
}

pub(super) fn plain(status: &str, headers: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n{headers}\r\n{body}",
        body.len()
    )
}
