bad(1)
const x = <a><b></a>;
bad(2)
