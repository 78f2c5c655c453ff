// A law fitted to some losses as a row of data: the keys are an interface (README.md).
#ifndef RETORT_CLIENT_CLI_FIT_ROWS_H_
#define RETORT_CLIENT_CLI_FIT_ROWS_H_

#include <optional>
#include <string>
#include <vector>

#include "client/cli/context.h"
#include "client/cli/table.h"
#include "client/scaling/fit.h"

namespace retort {

// What is asked of each fit.
struct FitRequest {
  // Unset: chosen by client/scaling/select.h.
  std::optional<scaling::Form> form = scaling::Form::kPower;
  scaling::FitOptions options;  // but for form and sizes of the curve
  std::vector<scaling::Size> predict;
  // A loss to keep with the confidence of `options`.
  std::optional<double> smallest;
};

// Appends the fit of `observations` to the labels of `row`. A fit that cannot be made has nulls,
// and a warning that says why.
Json FitRow(Json row, const std::string& size, const std::string& size2,
            const std::vector<scaling::Observation>& observations, const FitRequest& request);

// Behind the columns of the labels. Where every row is a power law: its parameters; else all in one
// text.
std::vector<Column> LawColumns(std::vector<Column> labels, const std::vector<Json>& rows);

// The predictions of all fits, a row each, with the labels of the fit; and what `smallest` came to.
std::vector<Json> PredictionRows(const std::vector<Json>& fits, const std::vector<Column>& labels);
std::vector<Column> PredictionColumns(std::vector<Column> labels);
std::vector<Column> SmallestColumns(std::vector<Column> labels);

}  // namespace retort

#endif  // RETORT_CLIENT_CLI_FIT_ROWS_H_
