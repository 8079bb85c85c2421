//! The limit pool against its oracle, and against itself.

use std::{collections::HashMap, sync::Arc, time::Duration};

use keywright_domain::{
    key::KeyNumber,
    limits::Algorithm,
    pool::{Counter, Draw, LimitPool as _, PoolWindow, Return, Subject},
    store::Store as _,
    workspace::WorkspaceNumber,
};
use keywright_store_postgres::{PostgresLimits, PostgresStore};
use keywright_testkit::PostgresServer;

use crate::server::{own_schema, shared};

/// `xorshift64` (Marsaglia 2003).
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u32) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        u32::try_from(self.0 % u64::from(bound)).unwrap()
    }
}

async fn pools(count: usize) -> Vec<Arc<PostgresLimits>> {
    let options = own_schema(shared());
    PostgresStore::connect(options.clone(), keywright_testkit::vault()).await.unwrap().close().await.unwrap();
    (0..count).map(|_| Arc::new(PostgresLimits::new(options.clone()).unwrap())).collect()
}

fn draw(number: u32, window_seconds: u32, algorithm: Algorithm, dice: &mut Dice) -> Draw {
    let subject = if number.is_multiple_of(2) {
        Subject::Key(KeyNumber(number))
    } else {
        Subject::Workspace(WorkspaceNumber(number))
    };
    let needed = dice.below(20);
    Draw {
        window: PoolWindow { subject, window_seconds, slot: 1, algorithm },
        limit: 100 + u64::from(number),
        needed,
        smallest: dice.below(needed + 1),
        want: dice.below(60),
        already: 0,
        nodes: 1 + dice.below(4),
    }
}

#[tokio::test]
async fn the_database_computes_as_the_oracle_does() {
    let pool = pools(1).await.remove(0);
    for (algorithm, window_seconds) in [
        (Algorithm::Sliding, 1),
        (Algorithm::Sliding, 2),
        (Algorithm::Sliding, 3_600),
        (Algorithm::Smooth, 1),
        (Algorithm::Smooth, 60),
    ] {
        let (mut counter, mut dice) = (Counter::default(), Dice(7 + u64::from(window_seconds)));
        let begin = tokio::time::Instant::now();
        let (mut granted, mut refused) = (0, 0);
        while begin.elapsed() < Duration::from_millis(1_600 * u64::from(window_seconds.min(2))) {
            let already =
                if dice.below(50) == 0 && algorithm == Algorithm::Sliding { dice.below(30) } else { 0 };
            let asked = Draw { already, ..draw(4, window_seconds, algorithm, &mut dice) };
            let answer = pool.draw(vec![asked]).await.unwrap();
            let expected = counter.draw(&asked, u64::try_from(answer.now_ms).unwrap());
            assert_eq!(answer.grants[0], expected, "{asked:?} at {}", answer.now_ms);
            if expected.granted > 0 {
                granted += 1;
            } else {
                refused += 1;
            }
            if dice.below(4) == 0 && algorithm == Algorithm::Sliding {
                let back =
                    Return { window: asked.window, bucket: expected.bucket, units: expected.granted / 2 };
                pool.give_back(vec![back]).await.unwrap();
                counter.give_back(&back);
            }
            tokio::time::sleep(Duration::from_millis(dice.below(30).into())).await;
        }
        assert!(
            granted > 5 && refused > 5,
            "{algorithm:?} {window_seconds}: {granted} granted, {refused} refused"
        );
    }
}

#[tokio::test]
async fn extremes_are_no_matter() {
    let pool = pools(1).await.remove(0);
    for algorithm in [Algorithm::Sliding, Algorithm::Smooth] {
        let mut counter = Counter::default();
        let asked = Draw {
            limit: 4_000_000_000,
            needed: 4_000_000_000,
            smallest: 1_000_000,
            ..draw(u32::MAX, 366 * 86_400, algorithm, &mut Dice(1))
        };
        for _ in 0..2 {
            let answer = pool.draw(vec![asked]).await.unwrap();
            assert_eq!(answer.grants[0], counter.draw(&asked, u64::try_from(answer.now_ms).unwrap()));
        }
    }
    assert!(pool.draw(Vec::new()).await.unwrap().grants.is_empty());
    pool.give_back(Vec::new()).await.unwrap();
    pool.prune().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nodes_that_draw_at_once_never_get_more_than_the_limit_and_never_block_each_other() {
    let mut tasks = Vec::new();
    for (number, pool) in (1_u64..).zip(pools(6).await) {
        for task in 0..2 {
            let pool = Arc::clone(&pool);
            tasks.push(tokio::spawn(async move {
                let (mut dice, mut granted) = (Dice(number * 1_000 + task), HashMap::<_, u64>::new());
                for _ in 0..120 {
                    // Each time another choice of windows, in another order.
                    let mut windows: Vec<u32> = (0..12).collect();
                    for place in (1..windows.len()).rev() {
                        windows.swap(place, dice.below(u32::try_from(place).unwrap() + 1) as usize);
                    }
                    windows.truncate(1 + dice.below(12) as usize);
                    let asked: Vec<Draw> = windows
                        .into_iter()
                        .map(|window| draw(window, 1, Algorithm::Sliding, &mut dice))
                        .collect();
                    let answer = pool.draw(asked.clone()).await.unwrap();
                    for (asked, grant) in asked.iter().zip(&answer.grants) {
                        *granted.entry((asked.window, asked.limit, grant.bucket)).or_default() +=
                            u64::from(grant.granted);
                    }
                }
                granted
            }));
        }
    }
    let mut sums = HashMap::<_, u64>::new();
    for task in tasks {
        for (window, units) in task.await.unwrap() {
            *sums.entry(window).or_default() += units;
        }
    }
    for ((window, limit, bucket), units) in &sums {
        assert!(units <= limit, "{units} of {limit} in {window:?}, {bucket}");
    }
    assert!(sums.iter().any(|((_, limit, _), units)| units == limit), "some window was exhausted");
}

#[tokio::test]
async fn a_pool_out_of_reach_says_so_and_comes_back() {
    let server = PostgresServer::start();
    let options = own_schema(&server);
    PostgresStore::connect(options.clone(), keywright_testkit::vault()).await.unwrap().close().await.unwrap();
    let pool = PostgresLimits::new(options).unwrap();
    let asked = draw(2, 3_600, Algorithm::Sliding, &mut Dice(3));
    let before = pool.draw(vec![Draw { needed: 40, ..asked }]).await.unwrap();
    server.stop();
    pool.draw(vec![asked]).await.unwrap_err();
    server.start_again();
    let mut after = pool.draw(vec![Draw { needed: 0, smallest: 0, want: 0, ..asked }]).await;
    for _ in 0..100 {
        if after.is_ok() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
        after = pool.draw(vec![Draw { needed: 0, smallest: 0, want: 0, ..asked }]).await;
    }
    let after = after.unwrap().grants[0];
    assert!(after.left == before.grants[0].left || after.bucket != before.grants[0].bucket);
}
