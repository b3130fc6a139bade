"""`ci plan` and `ci apply`: the commands in `ci`, what they report in `report`, GitHub's side in `github` and `comment`."""
