// What migrations need beyond SQL: values that older versions kept only inside serialised messages.
#ifndef RETORT_SERVER_STORE_BACKFILL_H_
#define RETORT_SERVER_STORE_BACKFILL_H_

#include "absl/status/status.h"
#include "server/store/sqlite.h"

namespace retort::store {

// Adds the SQL function `message_value(type, bytes, path)` to a connection: the scalar field at
// `path` (`train.peak_lr`) of a message of package retort.v1, of a repeated message that of its
// first element. Null if the field, or a message on the way, is not set, if the bytes are no such
// message, or if there is no such field. Enumerations are given by number.
absl::Status AddMessageValue(const Connection& db);

}  // namespace retort::store

#endif  // RETORT_SERVER_STORE_BACKFILL_H_
