use std::io::{Read, Write};
use std::net::TcpStream;

use testkit::S3Server;

fn ask(server: &S3Server, request: &str) -> String {
    let mut stream = TcpStream::connect(server.address()).unwrap();
    let head = format!(
        "{request} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n",
        server.address()
    );
    stream.write_all(head.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[tokio::test]
async fn the_s3_server_refuses_requests_that_nobody_has_signed() {
    let server = S3Server::start().await.unwrap();
    server.create_bucket("bucket").unwrap();
    std::fs::write(server.bucket_folder("bucket").join("object"), "secret").unwrap();
    let answer = ask(&server, "GET /bucket/object");
    assert!(
        answer.starts_with("HTTP/1.1 403 ") && answer.contains("AccessDenied"),
        "{answer}"
    );

    let (address, folder) = (server.address(), server.bucket_folder("bucket"));
    drop(server);
    assert!(TcpStream::connect(address).is_err() && !folder.exists());
}
