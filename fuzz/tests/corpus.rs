//! Every input of the corpus goes through its target, on the ordinary toolchain and without a fuzzing engine.

use std::path::Path;

/// One test, as the targets measure memory: nothing else may run beside them.
#[test]
fn the_corpus_is_replayed() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    let folders = std::fs::read_dir(&corpus).expect("a corpus").count();
    assert_eq!(
        folders,
        targets::ALL.len(),
        "a folder for each target, and none besides"
    );
    for (name, target) in targets::ALL {
        target(&[]);
        let mut inputs = 0;
        for file in std::fs::read_dir(corpus.join(name)).expect("the target's folder") {
            let path = file.expect("a file").path();
            let data = std::fs::read(&path).expect("a readable file");
            println!("{}", path.display());
            target(&data);
            inputs += 1;
        }
        assert!(inputs > 0, "{name} has no corpus");
    }
}
