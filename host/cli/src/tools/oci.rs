//! Tools in registries: pulled by reference, pinned by digest, pushed as Wasm OCI artifacts.
//!
//! An artifact has one layer with the component, one with the manifest beside it if there is one, and one with the
//! signature; nothing is unpacked. A tag is resolved once, to the digest that the registration names from then on. What a
//! registry says is checked against digests and sizes; who vouches for it is the signature's to say, never the registry's.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::str::FromStr;
use std::task::Context;
use std::task::Poll;
use std::time::Duration;

use oci_client::Client;
use oci_client::Reference;
use oci_client::client::ClientConfig;
use oci_client::client::ClientProtocol;
use oci_client::client::Config as ArtifactConfig;
use oci_client::client::ImageLayer;
use oci_client::errors::OciDistributionError;
use oci_client::manifest::OciDescriptor;
use oci_client::manifest::OciImageManifest;
use oci_client::manifest::OciManifest;
use oci_client::secrets::RegistryAuth;
use ringfence_model::digest::Digest;
use ringfence_model::limits;
use ringfence_model::outcome::one_line;
use serde_json::json;
use thiserror::Error;
use tokio::io::AsyncWrite;

use crate::tools::artifact::Artifact;

const CONFIG_TYPE: &str = "application/vnd.wasm.config.v0+json";
const COMPONENT_TYPE: &str = "application/wasm";
const MANIFEST_TYPE: &str = "application/vnd.ringfence.manifest.v1+toml";
const SIGNATURE_TYPE: &str = "application/vnd.ringfence.signature.v1+text";

/// Why a tool can't be pulled or pushed.
#[derive(Debug, Error)]
pub enum OciError {
    /// What the registry has is not a tool.
    #[error("`{0}` is not a tool: {1}")]
    NotATool(String, String),
    /// It is no reference that can be read in one way.
    #[error("`{0}` is not a reference of the form `oci://HOST/NAME:TAG` or `oci://HOST/NAME@sha256:…`: {1}")]
    Reference(String, String),
    /// The registry can't be used, or what it says is not so.
    #[error("`{0}`: the registry can't be used: {1}")]
    Registry(String, String),
    /// The registry takes too long.
    #[error("`{0}`: the registry took longer than {max} s", max = limits::REGISTRY_WAIT_S)]
    TooLong(String),
}

/// A tool's place in a registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OciRef(Reference);

/// What `tool add` registers: a file, or what a registry has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    File(PathBuf),
    Registry(OciRef),
}

impl FromStr for Source {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.contains("://") { text.parse().map(Self::Registry) } else { Ok(Self::File(text.into())) }
    }
}

impl FromStr for OciRef {
    type Err = String;

    /// A reference says everything: no registry is assumed, and no tag (ART-06, ART-08).
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = |why: &str| OciError::Reference(one_line(text), why.to_owned()).to_string();
        let rest = text.strip_prefix("oci://").ok_or_else(|| wrong("it does not start with `oci://`"))?;
        if !rest.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(wrong("it holds other characters than ASCII ones"));
        }
        let host = rest.split('/').next().unwrap_or_default();
        if !host.contains(['.', ':']) && host != "localhost" {
            return Err(wrong("its host is no domain, and none is assumed"));
        }
        let reference = rest.parse::<Reference>().map_err(|error| wrong(&error.to_string()))?;
        let names_tag = rest.rsplit('/').next().is_some_and(|last| last.contains([':', '@']));
        if reference.registry() != host || !names_tag {
            return Err(wrong("it names neither a tag nor a digest"));
        }
        if reference.digest().is_some_and(|digest| digest.parse::<Digest>().is_err()) {
            return Err(wrong("its digest is not a SHA-256"));
        }
        Ok(Self(reference))
    }
}

impl fmt::Display for OciRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "oci://{}", self.0.whole())
    }
}

impl OciRef {
    /// The registry: a host, with a port if it names one.
    pub fn registry(&self) -> &str {
        self.0.registry()
    }

    fn client(&self) -> Result<Client, OciError> {
        // There is one provider of cryptography in this program; whoever installs it second finds it installed.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let host = self.registry().split(':').next().unwrap_or_default();
        let is_loopback = host == "localhost" || host.parse().is_ok_and(|ip: std::net::Ipv4Addr| ip.is_loopback());
        let config = ClientConfig {
            protocol: if is_loopback { ClientProtocol::Http } else { ClientProtocol::Https },
            // A list of manifests is not a tool: which one is meant must not depend on this machine.
            platform_resolver: None,
            use_monolithic_push: true,
            connect_timeout: Some(Duration::from_secs(limits::REGISTRY_CONNECT_WAIT_S)),
            read_timeout: Some(Duration::from_secs(limits::REGISTRY_CONNECT_WAIT_S)),
            user_agent: concat!("ringfence/", env!("CARGO_PKG_VERSION")),
            ..ClientConfig::default()
        };
        Client::try_from(config).map_err(|error| self.failed(&error))
    }

    fn failed(&self, error: &OciDistributionError) -> OciError {
        // What lies below says more than "error sending request".
        let mut said = error.to_string();
        let mut below = std::error::Error::source(error);
        while let Some(error) = below {
            said = format!("{said}: {error}");
            below = error.source();
        }
        OciError::Registry(self.to_string(), one_line(&said))
    }

    fn not_a_tool(&self, why: impl Into<String>) -> OciError {
        OciError::NotATool(self.to_string(), why.into())
    }
}

/// Gets a tool, and pins where it was.
pub async fn pull(from: &OciRef, auth: &RegistryAuth) -> Result<Artifact, OciError> {
    let wait = Duration::from_secs(limits::REGISTRY_WAIT_S);
    tokio::time::timeout(wait, pull_all(from, auth)).await.map_err(|_| OciError::TooLong(from.to_string()))?
}

async fn pull_all(from: &OciRef, auth: &RegistryAuth) -> Result<Artifact, OciError> {
    let client = from.client()?;
    let (manifest, digest) = client.pull_manifest(&from.0, auth).await.map_err(|error| from.failed(&error))?;
    let OciManifest::Image(manifest) = manifest else {
        return Err(from.not_a_tool("it is a list of manifests; name one of them by its digest"));
    };
    let Layers { component, manifest, signature } = layers(from, &manifest)?;
    let pinned: Digest = digest.parse().map_err(|_| from.not_a_tool("its digest is not a SHA-256"))?;
    let mut source = from.to_string();
    if from.0.digest().is_none() {
        source = format!("{source}@{pinned}");
    }
    Ok(Artifact {
        bundle: None,
        name: from.0.repository().rsplit('/').next().unwrap_or_default().to_owned(),
        component: blob(&client, from, component, limits::COMPONENT_BYTES_MAX).await?,
        manifest: optional_blob(&client, from, manifest, limits::MANIFEST_BYTES_MAX).await?,
        signature: optional_blob(&client, from, signature, limits::SIGNATURE_BYTES_MAX).await?,
        source,
    })
}

/// The layers of a tool.
struct Layers<'a> {
    component: &'a OciDescriptor,
    manifest: Option<&'a OciDescriptor>,
    signature: Option<&'a OciDescriptor>,
}

/// Finds each layer once. What is not known is refused: somebody means something by it.
fn layers<'a>(from: &OciRef, manifest: &'a OciImageManifest) -> Result<Layers<'a>, OciError> {
    if manifest.config.media_type != CONFIG_TYPE {
        return Err(
            from.not_a_tool(format!("its configuration is of type `{}`", one_line(&manifest.config.media_type)))
        );
    }
    let (mut component, mut text, mut signature) = (None, None, None);
    for layer in &manifest.layers {
        let place = match layer.media_type.as_str() {
            COMPONENT_TYPE => &mut component,
            MANIFEST_TYPE => &mut text,
            SIGNATURE_TYPE => &mut signature,
            other => return Err(from.not_a_tool(format!("it has a layer of type `{}`", one_line(other)))),
        };
        if place.replace(layer).is_some() {
            return Err(from.not_a_tool(format!("it has two layers of type `{}`", layer.media_type)));
        }
        if layer.urls.as_ref().is_some_and(|urls| !urls.is_empty()) {
            return Err(from.not_a_tool("a layer of it lies elsewhere"));
        }
    }
    let component = component.ok_or_else(|| from.not_a_tool("it has no component"))?;
    Ok(Layers { component, manifest: text, signature })
}

async fn optional_blob(
    client: &Client,
    from: &OciRef,
    layer: Option<&OciDescriptor>,
    bytes_max: u64,
) -> Result<Option<Vec<u8>>, OciError> {
    match layer {
        Some(layer) => blob(client, from, layer, bytes_max).await.map(Some),
        None => Ok(None),
    }
}

/// Gets a blob of the size that was said, which is looked at before and while it comes. Its digest is checked at the end.
async fn blob(client: &Client, from: &OciRef, layer: &OciDescriptor, bytes_max: u64) -> Result<Vec<u8>, OciError> {
    let size = u64::try_from(layer.size).ok().filter(|size| *size <= bytes_max);
    let size =
        size.ok_or_else(|| from.not_a_tool(format!("a layer of {} bytes is not within {bytes_max}", layer.size)))?;
    let digest = layer.digest.parse::<Digest>().map_err(|_| from.not_a_tool("a layer's digest is not a SHA-256"))?;
    let mut bytes = Bounded { bytes: Vec::new(), left: size };
    client.pull_blob(&from.0, layer, &mut bytes).await.map_err(|error| from.failed(&error))?;
    // The client has compared them already; what is pinned does not rest on that.
    if bytes.left > 0 || Digest::of(&bytes.bytes) != digest {
        return Err(from.not_a_tool("a layer is not what its descriptor says"));
    }
    Ok(bytes.bytes)
}

/// Memory that takes so much and no more.
struct Bounded {
    bytes: Vec<u8>,
    left: u64,
}

impl AsyncWrite for Bounded {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, more: &[u8]) -> Poll<io::Result<usize>> {
        let length = u64::try_from(more.len()).unwrap_or(u64::MAX);
        let Some(left) = self.left.checked_sub(length) else {
            return Poll::Ready(Err(io::Error::other("a layer is larger than its descriptor says")));
        };
        self.left = left;
        self.bytes.extend_from_slice(more);
        Poll::Ready(Ok(more.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// Puts a tool into a registry; answers with its place there, pinned.
pub async fn push(artifact: Artifact, to: &OciRef, auth: &RegistryAuth) -> Result<String, OciError> {
    let wait = Duration::from_secs(limits::REGISTRY_WAIT_S);
    tokio::time::timeout(wait, push_all(artifact, to, auth)).await.map_err(|_| OciError::TooLong(to.to_string()))?
}

async fn push_all(artifact: Artifact, to: &OciRef, auth: &RegistryAuth) -> Result<String, OciError> {
    let client = to.client()?;
    // No time in it: the same tool is the same artifact, whenever it is pushed.
    let config = json!({
        "architecture": "wasm",
        "created": "1970-01-01T00:00:00Z",
        "layerDigests": [Digest::of(&artifact.component)],
        "os": "wasip2",
    });
    let config = ArtifactConfig::new(config.to_string().into_bytes(), CONFIG_TYPE.to_owned(), None);
    let optional = [(artifact.manifest, MANIFEST_TYPE), (artifact.signature, SIGNATURE_TYPE)];
    let layer = |bytes: Vec<u8>, media_type: &str| ImageLayer::new(bytes, media_type.to_owned(), None);
    let mut layers = vec![layer(artifact.component, COMPONENT_TYPE)];
    layers.extend(optional.into_iter().filter_map(|(bytes, media_type)| Some(layer(bytes?, media_type))));
    let pushed = client.push(&to.0, &layers, config, auth, None).await;
    pushed.map_err(|error| to.failed(&error))?;
    // What the registry has now is asked of it, not assumed.
    let digest = client.fetch_manifest_digest(&to.0, auth).await.map_err(|error| to.failed(&error))?;
    Ok(format!("{to}@{digest}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_say_everything() {
        // ART-06, ART-08
        let digest = format!("sha256:{}", "0".repeat(64));
        for good in [
            "oci://registry.example/tools/files:1.0.0".to_owned(),
            "oci://localhost:5000/files:latest".to_owned(),
            format!("oci://127.0.0.1:5000/files@{digest}"),
            format!("oci://registry.example/files:1@{digest}"),
        ] {
            assert_eq!(good.parse::<OciRef>().expect("a reference").to_string(), good);
        }
        for (bad, says) in [
            ("registry.example/files:1".to_owned(), "does not start"),
            ("https://registry.example/files:1".to_owned(), "does not start"),
            ("oci://files:1".to_owned(), ""),
            ("oci://tools/files:1".to_owned(), "none is assumed"),
            ("oci://registry.example/files".to_owned(), "neither a tag nor a digest"),
            ("oci://registry.example:5000/files".to_owned(), "neither a tag nor a digest"),
            ("oci://registry.example/f\u{456}les:1".to_owned(), "other characters"),
            ("oci://registry.example/Files:1".to_owned(), ""),
            ("oci://registry.example/../files:1".to_owned(), ""),
            ("oci://registry.example/files:1@sha256:00".to_owned(), ""),
            (format!("oci://registry.example/files@sha512:{}", "0".repeat(128)), "not a SHA-256"),
            ("oci://user@registry.example/files:1".to_owned(), ""),
            ("oci://".to_owned(), ""),
        ] {
            let error = bad.parse::<OciRef>().expect_err(&bad);
            assert!(error.contains(says), "{bad}: {error}");
        }
    }
}
