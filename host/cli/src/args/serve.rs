//! `mcp` and `serve`, and the tokens that let others in.

use std::net::SocketAddr;

use clap::Args as ClapArgs;
use clap::Subcommand;
use ringfence_model::id::SessionId;
use ringfence_model::principal::Principal;
use ringfence_server::http::peer::Name as CertificateName;
use ringfence_server::http::token::Scope;

use crate::args::Format;
use crate::config::tools::Name;

#[derive(ClapArgs, Debug)]
pub struct McpArgs {
    /// Offer this registered tool; may be given more than once [default: every one that loads]
    #[arg(long = "tool", value_name = "NAME")]
    pub tools: Vec<Name>,

    /// Offer what runs in this ring or in a less privileged one, 0 to 3 [default: whatever a tool is registered for]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(0..=3))]
    pub ring: Option<u8>,

    /// Call for this agent or service rather than as yourself, as in `agent:claims-7`
    #[arg(long = "as", value_name = "PRINCIPAL")]
    pub principal: Option<Principal>,

    /// Call within a session; whose it is, calls, and what its ring does not reach is not offered
    #[arg(long, value_name = "ID", conflicts_with = "principal")]
    pub session: Option<SessionId>,
}

#[derive(ClapArgs, Debug)]
pub struct ServeArgs {
    /// Where to listen [default: 127.0.0.1:8790, or `[server] listen` of the configuration]
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub listen: Option<SocketAddr>,

    /// How remarks are written to standard error: for people, or a line of JSON each
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t = Format::Human)]
    pub log_format: Format,
}

#[derive(Debug, Subcommand)]
pub enum TokenCommand {
    /// Make a token, and show it once; or say whom a certificate stands for
    New {
        /// A name for it
        name: Name,
        /// Whom it stands for, as in `agent:claims-7`
        #[arg(long = "as", value_name = "PRINCIPAL")]
        principal: Principal,
        /// Nothing that it calls runs in a more privileged ring than this, 0 to 3
        #[arg(long, value_name = "N")]
        ring: Option<u8>,
        /// What it may be used for: `call`, `session`, `approve`, `operate`, `audit`
        #[arg(long = "scope", value_name = "SCOPE", value_delimiter = ',', required = true)]
        scopes: Vec<Scope>,
        /// No token: a name in a certificate by `[server.tls] client-roots`, as in `uri:spiffe://example.org/agent`
        #[arg(long, value_name = "NAME")]
        certificate: Option<CertificateName>,
    },
    /// List who holds a token
    List,
    /// Take a token back
    Revoke {
        /// The token's name
        name: Name,
    },
}
