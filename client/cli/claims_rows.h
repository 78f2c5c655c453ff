// `retort fit SWEEP --claims`: the claims C1-C5 of a sweep's results, as data and for people.
#ifndef RETORT_CLIENT_CLI_CLAIMS_ROWS_H_
#define RETORT_CLIENT_CLI_CLAIMS_ROWS_H_

#include <vector>

#include "absl/status/statusor.h"
#include "client/cli/context.h"
#include "client/cli/results.h"
#include "client/scaling/claims.h"

namespace retort {

// The networks of the selected jobs, on the first evaluation set. INVALID_ARGUMENT for a sweep of
// several training sets: its claims would mix them.
absl::StatusOr<std::vector<scaling::TestedNetwork>> NetworksOf(const SweepResults& results);

// Judges them. FAILED_PRECONDITION without results.
absl::StatusOr<std::vector<scaling::Claim>> ClaimsOf(const SweepResults& results,
                                                     double confidence);

// One row per claim, its parts nested; or, for CSV, one row per part.
std::vector<Json> ClaimRows(const std::vector<scaling::Claim>& claims);
std::vector<Json> ClaimPartRows(const std::vector<scaling::Claim>& claims);

// Writes them in the context's format.
void EmitClaims(Context& context, const std::vector<scaling::Claim>& claims);

// What `fit --smallest` says over all methods (client/scaling/smallest_student.h), and the same for
// people. A sweep that cannot answer has a `problem` and nulls.
Json SmallestStudentJson(const SweepResults& results, double mae_bpm, double confidence);
std::string SmallestStudentText(const Json& answer, const Terminal& terminal);

}  // namespace retort

#endif  // RETORT_CLIENT_CLI_CLAIMS_ROWS_H_
