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

// 17 columns from `at`.
inline constexpr char kJobColumns[] =
    "j.state, j.cause, j.lost, j.crashed, j.artifact, j.attempt, j.worker, j.lost_on_1, "
    "j.lost_on_2, j.lost_on_3, j.points, j.lease_ms, j.start_ms, j.end_ms, "
    "j.memory_bytes, j.memory_hinted, j.slot";
inline constexpr int kJobColumnCount = 17;
core::JobRow ReadJobRow(const Statement& row, int at);

inline constexpr char kWorkerColumns[] =
    "key, name, host, version, slots, incarnation, state, reason, away, seen_ms, succeeded, "
    "failed, streak, streak_ms, last_success_ms";
core::WorkerRow ReadWorkerRow(const Statement& row);

}  // namespace retort::store

#endif  // RETORT_SERVER_STORE_SQLITE_ROWS_H_
