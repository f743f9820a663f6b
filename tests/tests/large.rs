//! sqlite, built for wasm on demand: `cargo test -p tests --test large -- --ignored` needs the packages that
//! `programs/build.sh` names.

use std::process::Command;
use std::time::Instant;

use tests::{Session, package};

#[test]
#[ignore = "builds sqlite with clang's wasm toolchain"]
fn sqlite_is_debugged_deep_inside() {
    let scratch = tempfile::tempdir().unwrap();
    let program = scratch.path().join("sqlite");
    let built = Command::new(package().join("large/build.sh"))
        .arg("sqlite")
        .arg(program.with_extension("wasm"))
        .status()
        .expect("a shell is installed");
    assert!(built.success(), "sqlite does not build");
    for level in [0, 2] {
        let start = Instant::now();
        let answers = Session::new(program.to_str().unwrap(), level).run(&[
            "break sqlite3BtreeInsert",
            "run",
            "bt",
            "info args",
            "p pX->nKey",
            "p *pCur",
            "p pCur->pBt->pageSize",
            "p pCur->pKeyInfo",
            "next",
            "next",
            "next",
            "info locals",
            "finish",
            "p aOp[0].opcode",
            "p pOp->opcode",
            "p db->nDb",
            "p db->aDb[0].zDbSName",
            "delete",
            "continue",
        ]);
        println!("level {level}: {:?}\n{}", start.elapsed(), answers.transcript());
        answers.assert_contains("run", 0, &["sqlite3BtreeInsert (pCur=0x", "pX=0x", "flags=", "sqlite3.c:"]);
        answers.assert_contains(
            "bt",
            0,
            &["#0  sqlite3BtreeInsert", "sqlite3VdbeExec (p=0x", "sqlite3Step", "sqlite3_exec", " main () at"],
        );
        answers.assert_contains("info locals", 0, &["rc = ", "pPage = ", "newCell = "]);
        answers.assert_contains("finish", 0, &["sqlite3VdbeExec (p=0x", "Value returned is", "= 0"]);
        answers.assert_values(&[
            ("p pCur->pBt->pageSize", "4096"),
            ("p db->nDb", "2"),
            ("p db->aDb[0].zDbSName", "0x? \"main\""),
        ]);
        answers.assert_contains("continue", 0, &["3 rows, status 0", "exited normally"]);
    }
}
