//! Links for the machine.

fn main() {
    println!("cargo::rustc-link-arg-bins=-Tmachine.ld");
}
