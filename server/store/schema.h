// The tables of the SQLite store and the views that people query.
#ifndef RETORT_SERVER_STORE_SCHEMA_H_
#define RETORT_SERVER_STORE_SCHEMA_H_

#include <string_view>
#include <vector>

namespace retort::store {

// Statements that bring a database from version n (PRAGMA user_version) to n + 1, at index n. Never
// changed once released: a change is a new entry.
const std::vector<std::string_view>& Migrations();

// Base tables that Query may read, through the views or not.
const std::vector<std::string_view>& QueryableTables();

}  // namespace retort::store

#endif  // RETORT_SERVER_STORE_SCHEMA_H_
