//! Never answers: it has to be interrupted and the call denied, before the tool was started (POL-02).

use std::hint::black_box;

use hostile_policies::hostile_policy;

hostile_policy!("spin-forever", |_| {
    let mut turns = 0_u64;
    loop {
        turns = black_box(turns).wrapping_add(1);
    }
});
