// The results of the reproduction study (deploy/sweeps/study) as networks.
#ifndef RETORT_TESTS_UNIT_SCALING_STUDY_H_
#define RETORT_TESTS_UNIT_SCALING_STUDY_H_

#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "client/scaling/claims.h"

namespace retort::scaling {

// Empty if the file cannot be read.
inline std::vector<TestedNetwork> ReadStudy(const std::string& path) {
  const auto split = [](const std::string& line) {
    std::vector<std::string> fields;
    std::istringstream in(line);
    for (std::string field; std::getline(in, field, ',');) fields.push_back(field);
    return fields;
  };
  std::ifstream in(path);
  std::string line;
  if (!std::getline(in, line)) return {};
  std::map<std::string, size_t> column;
  for (const std::string& name : split(line)) column.emplace(name, column.size());
  std::map<std::string, size_t> index;
  std::vector<TestedNetwork> networks;
  while (std::getline(in, line)) {
    const std::vector<std::string> fields = split(line);
    const auto text = [&](const std::string& name) { return fields.at(column.at(name)); };
    const auto number = [&](const std::string& name) { return std::stod(text(name)); };
    const auto [at, is_new] = index.try_emplace(text("job"), networks.size());
    if (is_new) {
      TestedNetwork network;
      network.is_teacher = text("kind") == "teacher";
      network.model = text("student");
      network.family = network.model.substr(0, network.model.find('-'));
      network.settings = text("method");
      network.method = network.settings.substr(0, network.settings.find('('));
      network.gaussian = network.settings.find("sigma") != std::string::npos;
      network.teacher = text("teacher");
      network.fold = std::stoi(text("fold"));
      network.seed = std::stoi(text("seed"));
      network.validation_mae_bpm = number("val_mae_bpm");
      network.params = number("params");
      network.params_body = number("params_body");
      network.bytes = 4 * network.params;
      network.latency_ms = number("latency_ms");
      network.latency_machine = "one";
      networks.push_back(network);
    }
    networks[at->second].subjects.push_back(
        {text("subject"),
         {number("mae_bpm"), number("mae_argmax_bpm"), number("mae_expectation_bpm")}});
  }
  return networks;
}

}  // namespace retort::scaling

#endif  // RETORT_TESTS_UNIT_SCALING_STUDY_H_
