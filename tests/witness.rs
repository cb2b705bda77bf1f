//! Witnesses: what others have signed is checked, kept beside the log's own signature, and can be demanded.

use ringfence_artifacts::TOOL_ECHO;
use ringfence_audit::signer::Signer as _;
use ringfence_audit::signer::SoftwareSigner;
use ringfence_audit::witness::Witness;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::harness::Home;
use crate::harness::Ran;

/// A witness as anybody could run one: it signs what it is shown, at a time that it says.
pub struct Watcher {
    signer: SoftwareSigner,
    pub witness: Witness,
}

impl Watcher {
    pub fn new(name: &str, seed: u8) -> Self {
        let signer = SoftwareSigner::from_seed(name, &[seed; 32]).expect("a signer");
        let key = signer.verifier().to_string();
        let key = STANDARD.decode(key.splitn(3, '+').nth(2).expect("a key")).expect("base64");
        let witness = Witness::new(name, key[1..].try_into().expect("32 bytes")).expect("a witness");
        Self { signer, witness }
    }

    /// The line that it signs a checkpoint with.
    pub fn line(&self, note: &str) -> String {
        let time = 1_795_218_613_u64;
        let text = note.rsplit_once("\n\n").expect("a note").0;
        let message = format!("cosignature/v1\ntime {time}\n{text}\n");
        let signature = self.signer.sign(message.as_bytes()).expect("a signature");
        let key = self.witness.to_string();
        let id = u32::from_str_radix(key.split('+').nth(1).expect("an id"), 16).expect("digits");
        let bytes = [&id.to_be_bytes()[..], &time.to_be_bytes(), &signature].concat();
        format!("\u{2014} {} {}\n", self.witness.name(), STANDARD.encode(bytes))
    }
}

fn kinds(ran: &Ran) -> Vec<String> {
    let report = ran.code(5).json();
    let failures = report["findings"].as_array().expect("findings").iter().filter(|f| f["severity"] == "failure");
    failures.map(|finding| finding["kind"].as_str().expect("a kind").to_owned()).collect()
}

#[test]
fn cosigned_checkpoint_is_kept_and_demanded() {
    // AUD-09
    let home = Home::new();
    let (one, two) = (Watcher::new("witness.example/one", 51), Watcher::new("witness.example/two", 52));
    home.configure(&format!("[log]\nwitnesses = [\"{}\", \"{}\"]\n", one.witness, two.witness));
    home.run(["run", TOOL_ECHO, "nothing"]).code(0);
    let (first, second) = (one.witness.to_string(), two.witness.to_string());
    let verify = |key: &str| home.run(["--format", "json", "log", "verify", "--witness", key]);
    assert_eq!(kinds(&verify(&first)), ["unwitnessed"]);

    let note = home.run(["log", "checkpoint"]).code(0).text();
    let add = |note: &str| home.run(["log", "cosign", "--add", home.file("cosigned", note).to_str().expect("text")]);
    let told = add(&format!("{note}{}", one.line(&note)));
    assert_eq!(told.code(0).text(), "cosigned by witness.example/one\n");
    assert_eq!(verify(&first).code(0).json()["findings"].as_array().map(Vec::len), Some(0));
    assert_eq!(kinds(&verify(&second)), ["unwitnessed"]);
    // The second one saw the checkpoint without the first one's line; both are kept.
    add(&format!("{note}{}", two.line(&note))).code(0);
    let kept = home.run(["log", "checkpoint"]).code(0).text();
    assert_eq!(kept, format!("{note}{}{}", one.line(&note), two.line(&note)));
    assert_eq!(std::fs::read_to_string(home.path().join("log.head")).expect("the head"), kept);
    home.run(["log", "verify", "--witness", &first, "--witness", &second]).code(0);

    // A line of nobody that the configuration names stays out.
    let stranger = Watcher::new("witness.example/three", 54);
    add(&format!("{note}{}{}", stranger.line(&note), one.line(&note))).code(0);
    assert_eq!(home.run(["log", "checkpoint"]).code(0).text(), kept);

    // What comes later has not been seen by them, which is said and no failure; exports and tiles carry what they signed.
    let www = home.folder("www").display().to_string();
    home.run(["log", "publish", "--to", &www]).code(0);
    home.run(["log", "verify", &www, "--witness", &first]).code(0);
    home.run(["run", TOOL_ECHO, "nothing"]).code(0);
    let told =
        home.run(["log", "verify", "--witness", &first, "--against", home.file("kept", &kept).to_str().expect("text")]);
    assert!(told.code(0).text().contains("has seen the first 3 entries"), "{}", told.text());
    home.is_well();
}

#[test]
fn forged_cosignatures_are_refused() {
    // AUD-09
    let home = Home::new();
    let (one, stranger) = (Watcher::new("witness.example/one", 51), Watcher::new("witness.example/one", 53));
    home.configure(&format!("[log]\nwitnesses = [\"{}\"]\n", one.witness));
    let note = home.run(["log", "checkpoint"]).code(0).text();
    let genuine = one.line(&note);
    let encoded = genuine.trim_end().rsplit(' ').next().expect("base64");
    let mut bytes = STANDARD.decode(encoded).expect("base64");
    bytes[11] ^= 1;
    let forged = genuine.replace(encoded, &STANDARD.encode(&bytes));
    let other_home = Home::new();
    let other = other_home.run(["log", "checkpoint"]).code(0).text();
    let larger = note.replacen("\n1\n", "\n2\n", 1);
    for (what, text) in [
        ("another key", format!("{note}{}", stranger.line(&note))),
        ("another time", format!("{note}{forged}")),
        ("no cosignature", note.clone()),
        ("another log", format!("{other}{}", one.line(&other))),
        ("what the log did not sign", format!("{larger}{}", one.line(&larger))),
        ("no note", "x".to_owned()),
    ] {
        let file = home.file("cosigned", text).display().to_string();
        let message = home.refuses(["log", "cosign", "--add", &file], 5);
        assert!(message.contains("is not kept"), "{what}: {message}");
    }
    assert_eq!(home.run(["log", "checkpoint"]).code(0).text(), note);
    // A cosignature that does not fit refuses the note it stands in, once the witness is asked about.
    let file = home.file("cosigned", format!("{note}{forged}")).display().to_string();
    let key = one.witness.to_string();
    let ran = home.run(["--format", "json", "log", "verify", "--against", &file, "--witness", &key]);
    assert_eq!(kinds(&ran), ["wrong-signature", "unwitnessed"]);
    home.is_well();
}
