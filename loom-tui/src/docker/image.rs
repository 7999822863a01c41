//! The image members run in, made of this executable through the engine's import: nothing is
//! pulled, and no builder is needed.

use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use bollard::body_full;
use bollard::query_parameters::{
    CreateImageOptionsBuilder, ListImagesOptionsBuilder, RemoveImageOptions,
};
use futures_util::TryStreamExt as _;

use super::engine::{Engine, innermost};
use super::rootfs::{self, DATA, PROGRAM, USER};
use crate::cluster::RigError;

/// What the image is called unless somebody says otherwise; docker-compose.yml uses the same name.
pub const NAME: &str = "loom:local";

/// The label that says which executable an image was made of.
const LABEL: &str = "loom.program";

/// How long an image of a former build is kept: it may be in use by somebody who builds elsewhere.
const KEPT_FOR_S: i64 = 24 * 60 * 60;

/// What became of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ensured {
    /// It was there, made of this very executable.
    Fresh,
    /// It was there, made of something else.
    Other,
    /// It was made now.
    Built,
}

/// Makes the image if there is none of that name.
///
/// An image made of another executable is left alone: it may be the user's own.
///
/// # Errors
///
/// When the engine refuses, or this executable cannot be read.
pub async fn ensure(engine: &Engine, name: &str) -> Result<Ensured, RigError> {
    if let Some(there) = look(engine, name).await? {
        return Ok(there);
    }
    build(engine, name).await?;
    Ok(Ensured::Built)
}

/// Whether there is an image of that name, and what it is made of.
///
/// # Errors
///
/// When the engine refuses, or this executable cannot be read.
pub async fn look(engine: &Engine, name: &str) -> Result<Option<Ensured>, RigError> {
    let labels = match engine.docker.inspect_image(name).await {
        Ok(image) => image.config.and_then(|config| config.labels),
        Err(error) if is_missing(&error) => return Ok(None),
        Err(error) => return Err(refused(name, innermost(&error))),
    };
    let program = own_program().map_err(|error| unreadable(&error))?;
    let made_of = labels.unwrap_or_default().get(LABEL).cloned();
    let fingerprint = fingerprint(&program).map_err(|error| unreadable(&error))?;
    Ok(Some(match made_of {
        Some(made_of) if made_of == fingerprint => Ensured::Fresh,
        _ => Ensured::Other,
    }))
}

/// The name of an image made of this very executable, which is made if there is none: the usual
/// name where that is free or fits, else one that says what it was made of.
///
/// # Errors
///
/// When the engine refuses, or this executable cannot be read.
pub async fn of_this_program(engine: &Engine) -> Result<String, RigError> {
    if ensure(engine, NAME).await? != Ensured::Other {
        return Ok(NAME.to_owned());
    }
    let program = own_program().map_err(|error| unreadable(&error))?;
    let fingerprint = fingerprint(&program).map_err(|error| unreadable(&error))?;
    let name = format!("{}:{fingerprint}", split(NAME).0);
    if ensure(engine, &name).await? == Ensured::Built {
        forget_former_builds(engine, &name).await;
    }
    Ok(name)
}

/// Removes images that [`of_this_program`] made of builds of another day: whoever builds often
/// would have a disk full of them.
async fn forget_former_builds(engine: &Engine, kept: &str) {
    let filters = HashMap::from([("label", vec![LABEL])]);
    let options = ListImagesOptionsBuilder::new().filters(&filters).build();
    let Ok(images) = engine.docker.list_images(Some(options)).await else {
        return;
    };
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let recent = i64::try_from(now.as_secs()).unwrap_or(0) - KEPT_FOR_S;
    for image in images.into_iter().filter(|image| image.created < recent) {
        let former = image.repo_tags.iter().filter(|tag| is_former(tag, kept));
        for tag in former {
            // One that a container is made of stays, and the next build tries again.
            let options = None::<RemoveImageOptions>;
            let _ = engine.docker.remove_image(tag, options, None).await;
        }
    }
}

/// Whether a name is one that [`of_this_program`] gives.
fn is_former(tag: &str, kept: &str) -> bool {
    let (repository, build) = split(tag);
    let fingerprint = build.len() == 16 && build.bytes().all(|byte| byte.is_ascii_hexdigit());
    repository == split(NAME).0 && fingerprint && tag != kept
}

/// Makes the image anew, whatever is there, and returns its size in bytes.
///
/// # Errors
///
/// When the engine refuses, or this executable cannot be read.
pub async fn build(engine: &Engine, name: &str) -> Result<u64, RigError> {
    let (root, fingerprint) = tokio::task::spawn_blocking(|| {
        let program = own_program()?;
        Ok((rootfs::pack(&program)?, fingerprint(&program)?))
    })
    .await
    .expect("packing does not panic")
    .map_err(|error: io::Error| unreadable(&error))?;
    let size = root.len() as u64;
    let (repository, tag) = split(name);
    let options = CreateImageOptionsBuilder::new()
        .from_src("-")
        .repo(repository)
        .tag(tag)
        .changes(settings(&fingerprint))
        .build();
    let import = engine
        .docker
        .create_image(Some(options), Some(body_full(root.into())), None);
    let said: Vec<_> = import
        .try_collect()
        .await
        .map_err(|error| refused(name, innermost(&error)))?;
    if let Some(error) = said.into_iter().find_map(|said| said.error_detail) {
        return Err(refused(name, error.message.unwrap_or_default()));
    }
    Ok(size)
}

/// As in a Dockerfile, and the same as in ours.
fn settings(fingerprint: &str) -> Vec<String> {
    vec![
        format!("ENTRYPOINT [\"{PROGRAM}\"]"),
        format!("USER {USER}:{USER}"),
        format!("ENV BIND=0.0.0.0 DATA_DIR={DATA}"),
        format!("LABEL {LABEL}={fingerprint}"),
    ]
}

/// `loom:local` as `loom` and `local`; a colon before a slash belongs to a registry's port.
fn split(name: &str) -> (&str, &str) {
    match name.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') => (repository, tag),
        _ => (name, "latest"),
    }
}

fn own_program() -> io::Result<std::path::PathBuf> {
    // The link, not its target: it can be read also after the file was replaced by a new build.
    Ok(Path::new("/proc/self/exe").to_owned())
}

fn fingerprint(program: &Path) -> io::Result<String> {
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(std::fs::File::open(program)?)?;
    Ok(hasher.finalize().to_hex().as_str()[..16].to_owned())
}

pub(crate) fn is_missing(error: &bollard::errors::Error) -> bool {
    matches!(
        error,
        bollard::errors::Error::DockerResponseServerError {
            status_code: 404,
            ..
        }
    )
}

fn refused(name: &str, reason: String) -> RigError {
    RigError {
        doing: format!("make the image {name}"),
        refused: false,
        reason,
        next_step: "see what `docker info` says; the local backend needs no image".to_owned(),
    }
}

fn unreadable(error: &io::Error) -> RigError {
    RigError {
        doing: "pack this executable into an image".to_owned(),
        refused: false,
        reason: error.to_string(),
        next_step: "build the image with `docker build -t loom:local .` instead".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_images_of_former_builds_are_forgotten() {
        let kept = "loom:0123456789abcdef";
        assert!(is_former("loom:fedcba9876543210", kept));
        for other in [
            kept,
            NAME,
            "loom:latest",
            "mine:fedcba9876543210",
            "loom:ci",
        ] {
            assert!(!is_former(other, kept), "{other}");
        }
    }

    #[test]
    fn names_are_split_as_docker_splits_them() {
        assert_eq!(split("loom:local"), ("loom", "local"));
        assert_eq!(split("loom"), ("loom", "latest"));
        assert_eq!(split("host:5000/loom"), ("host:5000/loom", "latest"));
        assert_eq!(split("host:5000/loom:1"), ("host:5000/loom", "1"));
    }
}
