//! What of a grant is left to somebody who may only look: what a reconcile function runs under.

use crate::capability::Access;
use crate::capability::Asked;
use crate::capability::LimitCeiling;
use crate::capability::NetworkAsked;
use crate::decision::Narrowing;
use crate::egress::HttpRule;
use crate::grant::Grant;

impl Grant {
    /// What a call may ask for that looks after what a call under this grant did: the same folders and variables, none of
    /// them to write, requests that only get something, no sockets, and no more of anything.
    pub fn asked_to_read(&self) -> Asked {
        let read = Narrowing { access: Some(Access::Read), ..Narrowing::default() };
        let Self { clock, environment, folders, limits, network, seed, .. } = self.clone().attenuate(&read);
        let http = network.http.iter().filter_map(HttpRule::to_read).collect();
        let (bounds, sockets) = (network.limits, Vec::new());
        Asked {
            folders,
            environment,
            network: NetworkAsked { http, sockets, ..network.asked() },
            clock,
            seed,
            limits: LimitCeiling {
                memory_bytes: Some(limits.memory_bytes),
                fuel: Some(limits.fuel),
                wall_ms: Some(limits.wall_ms),
                output_bytes: Some(limits.output_bytes),
                handles: Some(limits.handles),
                sent_bytes: Some(bounds.sent_bytes),
                received_bytes: Some(bounds.received_bytes),
                requests: Some(bounds.requests),
                connections: Some(bounds.connections),
                write_bytes: None,
                files: None,
            },
            scratch: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capability::Folder;
    use crate::capability::GuestPath;
    use crate::grant::Reach;

    fn asked(http: &[&str], access: Access) -> Asked {
        let folder = Folder {
            access,
            guest: GuestPath::new("/work").expect("a path"),
            host: "/srv/work".to_owned(),
            deny: Vec::new(),
            bytes_max: None,
            files_max: None,
        };
        let http = http.iter().map(|rule| rule.parse().expect("a rule")).collect();
        let sockets = vec!["tcp://db.test:5432".parse().expect("a rule")];
        let network = NetworkAsked { http, sockets, ..NetworkAsked::default() };
        Asked { folders: vec![folder], network, ..Asked::default() }
    }

    #[test]
    fn whoever_looks_can_not_write() {
        let asked = asked(&["GET,POST http://a.test/", "DELETE http://b.test/", "* http://c.test/"], Access::ReadWrite);
        let grant = Grant::narrow(&asked, &[], &[]).expect("a grant");
        let left = grant.asked_to_read();
        assert!(left.folders.iter().all(|folder| folder.access == Access::Read));
        let rules: Vec<_> = left.network.http.iter().map(ToString::to_string).collect();
        assert_eq!(rules, ["GET http://a.test/", "GET,HEAD http://c.test/"]);
        assert!(left.network.sockets.is_empty() && left.scratch.is_none());
        // And it is no more than the grant: what it asks for is granted under it again, and stays as it is.
        let again = Grant::narrow(&left, &[], &[]).expect("a grant");
        assert_eq!(again.asked_to_read(), left);
        let plain = Asked { network: NetworkAsked::default(), ..asked };
        let plain = Grant::narrow(&plain, &[], &[]).expect("a grant");
        assert_eq!(plain.reach(), Reach::Writes);
        assert_eq!(Grant::narrow(&plain.asked_to_read(), &[], &[]).expect("a grant").reach(), Reach::Reads);
    }
}
