//! Real processes.

use super::*;

/// Check that of two children at once each has its own time: the idle one nothing like that of the busy one.
#[test]
fn the_cpu_time_of_a_process_is_its_own() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let shell = |script| Command::new("sh").args(["-c", script]).spawn().unwrap();
        let mut busy = shell("i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done");
        let mut idle = shell("read line </dev/null; exit 3");
        assert_eq!(busy.cpu_time(), None);
        let (busy_end, idle_end) = tokio::join!(busy.wait(), idle.wait());
        assert!(busy_end.unwrap().success());
        assert_eq!(idle_end.unwrap().code(), Some(3));
        let (busy_cpu, idle_cpu) = (busy.cpu_time().unwrap(), idle.cpu_time().unwrap());
        assert!(busy_cpu > idle_cpu * 2, "{busy_cpu:?} {idle_cpu:?}");
        // A second wait must not count anew.
        assert!(busy.wait().await.unwrap().success());
        assert_eq!(busy.cpu_time(), Some(busy_cpu));
    });
}
