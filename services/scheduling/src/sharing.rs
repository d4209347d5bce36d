//! Questions between schedulers about limits that hold across them, as messages. What is no limit of all tenants is passed
//! over: a scheduler of another version may know more.

use tidemill_chassis::Wire;
use tidemill_kernel::Shard;
use tidemill_policy::{Kind, Rate, Scope, Share};
use tidemill_proto::scheduling::v1 as api;
use tidemill_proto::scheduling::v1::shared_limit::Scope as Of;
use tidemill_proto::scheduling::v1::worker_service_client::WorkerServiceClient;
use tonic::Status;

use crate::engine::{Asks, Holding};

/// Asks a scheduler.
pub(crate) async fn ask(
    mut scheduler: WorkerServiceClient<Wire>,
    asks: &Asks,
) -> Result<Vec<(Scope, Share)>, Status> {
    let answer = scheduler.divide_limits(request(asks)).await?.into_inner();
    let share = |grant: &api::LimitGrant| Some((scope(grant.limit.as_ref())?, share(grant.part.as_ref())));
    Ok(answer.grants.iter().filter_map(share).collect())
}

/// The message of a question.
pub(crate) fn request(asks: &Asks) -> api::DivideLimitsRequest {
    let shard = |(shard, epoch): &(Shard, i64)| api::RunShard { shard: shard.number().into(), epoch: *epoch };
    let limit = |holding: &Holding| {
        Some(api::LimitUse {
            limit: Some(limit_of(&holding.scope)?),
            holds: Some(part(holding.holds)),
            running: holding.running,
            wants: Some(part(holding.wants)),
            term: holding.term,
        })
    };
    api::DivideLimitsRequest {
        owner: asks.owner.clone(),
        number: asks.number,
        shards: asks.shards.iter().map(shard).collect(),
        limits: asks.limits.iter().filter_map(limit).collect(),
    }
}

/// The question of a message.
pub(crate) fn decode(request: api::DivideLimitsRequest) -> Asks {
    let shard = |one: &api::RunShard| Some((Shard::new(u16::try_from(one.shard).ok()?)?, one.epoch));
    let limit = |one: &api::LimitUse| {
        Some(Holding {
            scope: scope(one.limit.as_ref())?,
            holds: share(one.holds.as_ref()),
            running: one.running,
            wants: share(one.wants.as_ref()),
            term: one.term,
        })
    };
    Asks {
        number: request.number,
        shards: request.shards.iter().filter_map(shard).collect(),
        limits: request.limits.iter().filter_map(limit).collect(),
        owner: request.owner,
    }
}

/// The message of an answer.
pub(crate) fn response(shares: &[(Scope, Share)]) -> api::DivideLimitsResponse {
    let grant = |(scope, share): &(Scope, Share)| {
        Some(api::LimitGrant { limit: Some(limit_of(scope)?), part: Some(part(*share)) })
    };
    api::DivideLimitsResponse { grants: shares.iter().filter_map(grant).collect() }
}

fn limit_of(scope: &Scope) -> Option<api::SharedLimit> {
    let of = match scope {
        Scope::Kind(kind) => Of::Kind(kind.as_str().to_owned()),
        Scope::Key(key) => Of::Key(key.to_string()),
        _ => return None,
    };
    Some(api::SharedLimit { scope: Some(of) })
}

fn scope(limit: Option<&api::SharedLimit>) -> Option<Scope> {
    Some(match limit?.scope.as_ref()? {
        Of::Kind(kind) => Scope::Kind(Kind::new(kind)),
        Of::Key(key) => Scope::Key(key.as_str().into()),
    })
}

fn part(share: Share) -> api::LimitPart {
    let Share { concurrency, rate: Rate { per_second, burst } } = share;
    api::LimitPart { concurrency, per_second, burst }
}

/// No part is none of it.
fn share(part: Option<&api::LimitPart>) -> Share {
    part.map_or(Share::NONE, |part| Share {
        concurrency: part.concurrency,
        rate: Rate { per_second: part.per_second, burst: part.burst },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_the_same_behind_the_wire() {
        let holds = Share { concurrency: 3, rate: Rate { per_second: 5, burst: 7 } };
        let holding = |scope| Holding { scope, holds, running: 4, wants: Share::ALL, term: 7 };
        let asks = Asks {
            owner: "s1".into(),
            number: 9,
            shards: vec![(Shard::of_name("a"), 2), (Shard::of_name("b"), 1)],
            limits: vec![holding(Scope::Kind(Kind::new("noop"))), holding(Scope::Key("model:small".into()))],
        };
        assert_eq!(decode(request(&asks)), asks);
    }
}
