import git


def git_diff_unstaged(repo: git.Repo, context_lines: int = 3) -> str:
    # ok: argument-to-git-option
    return repo.git.diff(f"--unified={context_lines}")


def git_diff(repo: git.Repo, target: str) -> str:
    if target.startswith("-"):
        raise ValueError(target)
    # ok: argument-to-git-option
    return repo.git.diff(target)


def git_add(repo: git.Repo, path: str) -> None:
    # ok: argument-to-git-option
    repo.git.add("--", path)


def git_blame(repo: git.Repo, since: str) -> str:
    # ok: argument-to-git-option
    return repo.git.log(since=since)


def git_status(repo: git.Repo, message: str) -> str:
    # ok: argument-to-git-option
    return repo.git.status()
