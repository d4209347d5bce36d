//! Discovery by name: every address that a name stands for is an instance, as with a headless Service of Kubernetes. Names are
//! looked up again and again; what they stood for is kept while they cannot be.

use std::time::Duration;

use tokio::sync::watch;

use super::{Address, Follow, Instance, Instances, arrange};
use crate::sleep;

/// Follows all that these addresses stand for, looked up this often. A name that stands for one address only stays a name. Must be
/// called within a tokio runtime.
pub fn resolving(listed: Vec<Address>, every: Duration) -> Follow {
    let (tell, told) = watch::channel(None);
    tokio::spawn(async move {
        let mut known: Vec<Option<Vec<Address>>> = vec![None; listed.len()];
        loop {
            for (name, known) in listed.iter().zip(&mut known) {
                if let Some(found) = look_up(name).await {
                    *known = Some(found);
                }
            }
            let all = listed.iter().zip(&known).flat_map(|(name, known)| split(name, known.as_deref()));
            let instances = arrange(all.map(Instance::at).collect());
            tell.send_if_modified(|now: &mut Option<Instances>| {
                let is_new = now.as_ref() != Some(&instances);
                *now = Some(instances);
                is_new
            });
            tokio::select! {
                () = sleep(every) => {}
                () = tell.closed() => return,
            }
        }
    });
    Follow::new(told)
}

/// What a name stands for: itself, unless it is several.
fn split(name: &Address, found: Option<&[Address]>) -> Vec<Address> {
    match found {
        Some(found) if found.len() > 1 => found.to_vec(),
        _ => vec![name.clone()],
    }
}

async fn look_up(name: &Address) -> Option<Vec<Address>> {
    let sockets = tokio::net::lookup_host(name.to_string()).await.ok()?;
    let mut found: Vec<Address> = sockets.filter_map(|socket| socket.to_string().parse().ok()).collect();
    found.sort();
    found.dedup();
    (!found.is_empty()).then_some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Address {
        text.parse().unwrap()
    }

    #[test]
    fn a_name_stays_one_unless_it_stands_for_several() {
        let (name, one, two) =
            (address("schedulers:7400"), address("10.0.0.1:7400"), address("10.0.0.2:7400"));
        assert_eq!(split(&name, None), std::slice::from_ref(&name));
        assert_eq!(split(&name, Some(std::slice::from_ref(&one))), std::slice::from_ref(&name));
        assert_eq!(split(&name, Some(&[one.clone(), two.clone()])), [one, two]);
    }

    #[tokio::test]
    async fn what_is_listed_is_known_soon_and_ends_with_its_followers() {
        let mut follow =
            resolving(vec![address("127.0.0.1:7400"), address("[::1]:7400")], Duration::from_secs(5));
        assert!(follow.known().await);
        let all = follow.current().unwrap();
        let texts: Vec<_> = all.iter().map(|instance| instance.address.to_string()).collect();
        assert_eq!(texts, ["127.0.0.1:7400", "[::1]:7400"]);
    }
}
