bad(1)
const x = {{{ ;
function (
bad(2)
