/* Empty on purpose: the theme serves its icons as a web font too, and this script would add 540 KB to each page. */
