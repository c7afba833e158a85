import git


def git_diff(repo: git.Repo, target: str, context_lines: int = 3) -> str:
    # ruleid: argument-to-git-option
    return repo.git.diff(f"--unified={context_lines}", target)


def git_checkout(repo: git.Repo, branch_name: str) -> str:
    # ruleid: argument-to-git-option
    repo.git.checkout(branch_name)
    return f"Switched to branch '{branch_name}'"


class Repository:
    def log(self, revision):
        reference = revision.strip()
        # ruleid: argument-to-git-option
        return self.repo.git.log("--oneline", reference)
