use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use testkit::{Cluster, JavaClient, S3Server};

/// Not a test of its own: the next one runs it in another process, and kills that.
#[tokio::test]
#[ignore = "is run, and killed, by `nothing_outlives_a_killed_process`"]
async fn holds_a_cluster_until_it_is_killed() {
    let cluster = Cluster::shared().await.unwrap();
    JavaClient::of(cluster).await.unwrap().ping().await.unwrap();
    let folder = cluster.broker_data(0).unwrap();
    let s3 = S3Server::shared().await.unwrap();
    s3.create_bucket("bucket").unwrap();
    println!(
        "holding {} {} {} {}",
        cluster.broker_pid(0).await.unwrap().unwrap(),
        folder.display(),
        s3.address().port(),
        s3.bucket_folder("bucket").display()
    );
    std::future::pending::<()>().await;
}

#[tokio::test]
async fn nothing_outlives_a_killed_process() {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "lifecycle::holds_a_cluster_until_it_is_killed",
            "--ignored",
            "--nocapture",
        ])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let line = lines
        .map_while(Result::ok)
        .find_map(|line| Some(line.split_once("holding ")?.1.to_owned()))
        .unwrap();
    let held: Vec<&str> = line.split(' ').collect();
    let [pid, data, s3_port, bucket] = held[..] else {
        panic!("{line}")
    };
    let process = Path::new("/proc").join(pid);
    let folder = Path::new(data).parent().unwrap().parent().unwrap();
    let s3_folder = Path::new(bucket).parent().unwrap().parent().unwrap();
    let s3_answers = || TcpStream::connect(format!("127.0.0.1:{s3_port}")).is_ok();
    assert!(folder.is_dir() && s3_folder.is_dir() && s3_answers());
    child.kill().unwrap();
    child.wait().unwrap();
    let deadline = Instant::now() + Duration::from_secs(10);
    let is_left = || process.exists() || folder.exists() || s3_folder.exists() || s3_answers();
    while is_left() && Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(!process.exists(), "the broker still runs");
    assert!(!folder.exists(), "{} is still there", folder.display());
    assert!(!s3_answers(), "the S3 server still runs");
    assert!(!s3_folder.exists(), "{} is still there", s3_folder.display());
}
