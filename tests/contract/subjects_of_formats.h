// Subjects of one format, in a file of their own where they are many.
#pragma once

#include "lib/image/format.h"
#include "tests/contract/subject.h"

namespace platter::test {

// A format of the registry. options: of create.
Subject of_format(const std::string& format_name, uint64_t disk_size, const Options& options,
                  const std::string& name_suffix = "");

std::vector<Subject> vmdk_subjects();
std::vector<Subject> larger_vmdk_subjects();
std::vector<Subject> vhd_subjects();
std::vector<Subject> larger_vhd_subjects();
std::vector<Subject> used_vhd_subjects();
std::vector<Subject> vhdx_subjects();
std::vector<Subject> used_vhdx_subjects();
std::vector<Subject> larger_vhdx_subjects();

}  // namespace platter::test
