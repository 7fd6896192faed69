# ==== Run, or sourced? =============================================================================================
#
# Run, $0 names a file that holds the line below. Sourced, it names your shell or your script; only zsh sets it to the
# sourced file, and says so. Sourced, nothing has happened up to here but functions.
case ${ZSH_EVAL_CONTEXT-} in
*:file*) ;;
*)
	if [ -f "$0" ] && command grep -qF -e @MARK@ "$0"; then
		@RUN@ "$@"
		exit
	fi
	;;
esac
