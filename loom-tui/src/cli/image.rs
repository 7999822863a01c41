//! `image build`, and `health`, which containers made of that image are asked with.

use std::fs;
use std::path::Path;

use clap::{Args, Subcommand};
use loom_relay::ask_health::{self, HealthArgs};

use super::{CliError, Exit, say};
use crate::docker::{Engine, image};

/// What to do with the image.
#[derive(Args, Debug)]
#[command(after_help = "\
Example:
  loom-tui image build        make loom:local, which docker-compose.yml uses, out of this program")]
pub(super) struct ImageCommand {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Make the image that members run in out of this program: nothing is pulled or compiled
    Build {
        /// What to call it
        #[arg(long, env = "LOOM_IMAGE", default_value = image::NAME, value_name = "NAME")]
        name: String,
    },
    /// Make it only if there is none made of this very program, and print its name
    Ensure,
}

pub(super) async fn image(command: ImageCommand) -> Result<Exit, CliError> {
    let engine = Engine::connect()
        .await
        .map_err(|trouble| CliError::Rig(trouble.into()))?;
    let name = match command.verb {
        Verb::Build { name } => name,
        Verb::Ensure => {
            say(&image::of_this_program(&engine).await?);
            return Ok(Exit::Ok);
        }
    };
    let size = image::build(&engine, &name).await?;
    let megabytes = size as f64 / 1e6;
    say(&format!("{name}: {megabytes:.1} MB, made of this program"));
    Ok(Exit::Ok)
}

/// What a volume holds, deleted; the volume itself stays, and belongs to whom it belonged.
pub(super) fn wipe_data(folder: &Path) -> Result<Exit, CliError> {
    let doing = || format!("empty {}", folder.display());
    for entry in fs::read_dir(folder).map_err(CliError::io(doing()))? {
        let entry = entry.map_err(CliError::io(doing()))?;
        let deleted = match entry.file_type() {
            Ok(kind) if kind.is_dir() => fs::remove_dir_all(entry.path()),
            _ => fs::remove_file(entry.path()),
        };
        deleted.map_err(CliError::io(doing()))?;
    }
    Ok(Exit::Ok)
}

/// Port of a member when nobody says: the relay's, as in [`crate::cluster::local::RELAY_PORT`].
pub(super) fn health(asked: &HealthArgs) -> Exit {
    match ask_health::ask(&asked.address(crate::cluster::local::RELAY_PORT)) {
        Ok(said) => {
            say(&said);
            Exit::Ok
        }
        Err(unhealthy) => {
            eprintln!("loom-tui: {unhealthy}");
            Exit::Failed
        }
    }
}
