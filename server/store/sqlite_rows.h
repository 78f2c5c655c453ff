// Rows of SQLite as the core's structs.
#ifndef RETORT_SERVER_STORE_SQLITE_ROWS_H_
#define RETORT_SERVER_STORE_SQLITE_ROWS_H_

#include "server/core/types.h"
#include "server/store/sqlite.h"

namespace retort::store {

// The columns of kSweepColumns, from `at`: first the fixed part, then the row.
inline constexpr char kSweepColumns[] =
    "key, name, priority, jobs, create_ms, budget_device_s, budget_wall_ms, budget_cancel, state, "
    "reason, end_ms, blocked, queued, leased, running, succeeded, failed, skipped, cancelled, "
    "known, cost_open, cost_done, done_s, device_s, budget_spent, checkpoint_every_s, wall_limit_s";
inline constexpr int kSweepColumnCount = 27;
core::SweepFixed ReadSweepFixed(const Statement& row);
core::SweepRow ReadSweepRow(const Statement& row);

// 17 columns of job_states as `now`, from `at`.
inline constexpr char kJobColumns[] =
    "now.state, now.cause, now.lost, now.crashed, now.artifact, now.attempt, now.worker, "
    "now.lost_on_1, now.lost_on_2, now.lost_on_3, now.points, now.lease_ms, now.start_ms, "
    "now.end_ms, now.memory_bytes, now.memory_hinted, now.slot";
inline constexpr int kJobColumnCount = 17;
core::JobRow ReadJobRow(const Statement& row, int at);

inline constexpr char kWorkerColumns[] =
    "key, name, host, version, slots, incarnation, state, reason, away, seen_ms, succeeded, "
    "failed, streak, streak_ms, last_success_ms";
core::WorkerRow ReadWorkerRow(const Statement& row);

}  // namespace retort::store

#endif  // RETORT_SERVER_STORE_SQLITE_ROWS_H_
