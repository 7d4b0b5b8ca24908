//! The explorations.
use stateright::{Checker as _, Model as _};

use super::*;

#[test]
fn try_it() {
    #[allow(clippy::disallowed_methods)]
    let text = std::env::var("BOUND").unwrap();
    let n: Vec<u8> = text.split(',').map(|x| x.parse().unwrap()).collect();
    let role = if n[0] == 1 { Role::Bridge } else { Role::Replace };
        let bounds = Bounds { wishes: n[1], crashes: n[2], silences: n[3], expiries: n[4] };
        let start = tokio::time::Instant::now();
        let checker = Protocol::new(role, bounds, ALL).checker().timeout(std::time::Duration::from_secs(u64::from(n[5]))).spawn_bfs().join();
        let m = checker.model().memory.lock().unwrap();
        eprintln!("{text}: {} states, unique {}, depth {} {:?} done {} objects {} plans {} landings {}", checker.state_count(), checker.unique_state_count(), checker.max_depth(), start.elapsed(), checker.is_done(), m.sizes().0, m.sizes().1, m.sizes().2);
        drop(m);
        for (name, path) in checker.discoveries() {
            eprintln!("BROKEN {name}");
            let mut last = None;
            for (state, action) in path.into_vec() {
                let m = checker.model().memory.lock().unwrap();
                if let Some(Action::Answer(at) | Action::GiveUp(at)) = action {
                    let write = m.write(state.replicas[at].sent.unwrap().write);
                    eprintln!("    {:.300}", format!("{write:?}"));
                }
                eprintln!("  {action:?}    {:?} {}", state.broken, state.replicas.iter().map(|r| format!("[{} {}{} {}{:?}]", if state.is_held {"*"} else {""}, r.object, if r.is_latest {"="} else {"<"}, r.records, r.outlook.failing)).collect::<String>());
                if last.as_ref().is_none_or(|l: &State| l.broken == state.broken) || true { last = Some(state); }
            }
            let m = checker.model().memory.lock().unwrap();
            let end = last.unwrap();
            eprintln!("{:#}", serde_json::json!({"spec": m.object(end.object)["spec"], "history": m.object(end.object)["status"]["history"], "conditions": m.object(end.object)["status"]["conditions"], "records": *m.records(end.records)}));
        }
}
